"""A stand-in for the video API on loopback: it creates tasks, answers polls and serves the videos.

async with StandInVideoApi(key="stand-in-key") as api:
    task = api.create("vgen_abc123def456")
    task.complete()
"""

from sandbox.faults import Fault
from sandbox.video_api.clips import CLIP, PORTRAIT, Clip
from sandbox.video_api.journal import Download, Poll
from sandbox.video_api.sending import BodyFault
from sandbox.video_api.server import StandInVideoApi
from sandbox.video_api.tasks import Complete, Fail, StandInTask, Status

__all__ = [
    "CLIP",
    "PORTRAIT",
    "BodyFault",
    "Clip",
    "Complete",
    "Download",
    "Fail",
    "Fault",
    "Poll",
    "StandInTask",
    "StandInVideoApi",
    "Status",
]
