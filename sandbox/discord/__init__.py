"""A stand-in Discord on loopback: REST, gateway and attachments, for an unmodified discord.py client."""

from sandbox.discord.components import Button
from sandbox.discord.interactions import InteractionFailed
from sandbox.discord.message_parts import Attachment
from sandbox.discord.people import Person, Reply
from sandbox.discord.record import Request, Upload
from sandbox.discord.server import StandInDiscord
from sandbox.discord.world import Channel, Guild, Message, World

__all__ = [
    "Attachment",
    "Button",
    "Channel",
    "Guild",
    "InteractionFailed",
    "Message",
    "Person",
    "Reply",
    "Request",
    "StandInDiscord",
    "Upload",
    "World",
]
