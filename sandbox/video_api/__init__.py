"""A stand-in for the video API on loopback: create, query, and the videos themselves.

async with StandInVideoApi(key="stand-in-key") as api:
    task = api.create("vgen_abc123def456")
    task.complete()
"""

from sandbox.faults import Fault
from sandbox.video_api.body_fault import BodyFault
from sandbox.video_api.clips import CLIP, Clip
from sandbox.video_api.holds import Hold
from sandbox.video_api.journal import Download, Question
from sandbox.video_api.server import StandInVideoApi
from sandbox.video_api.tasks import Complete, Fail, Say, StandInTask

__all__ = [
    "CLIP",
    "BodyFault",
    "Clip",
    "Complete",
    "Download",
    "Fail",
    "Fault",
    "Hold",
    "Question",
    "Say",
    "StandInTask",
    "StandInVideoApi",
]
