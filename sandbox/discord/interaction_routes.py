"""REST routes with which the bot answers interactions: callback, original response, follow-ups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.discord import errors, interactions, message_payload
from sandbox.discord.endpoint import NO_CONTENT, Answer, Call, Endpoint
from sandbox.discord.message_parts import EPHEMERAL, LOADING, Json, Origin
from sandbox.discord.world import Message

if TYPE_CHECKING:
    from sandbox.discord.interactions import Interaction, Interactions
    from sandbox.discord.posting import Posting
    from sandbox.discord.world import World

_WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}"
_ORIGINAL = "@original"


class InteractionRoutes:
    def __init__(self, world: World, interactions: Interactions, posting: Posting) -> None:
        self._world = world
        self._interactions = interactions
        self._posting = posting

    def endpoints(self) -> list[Endpoint]:
        """The routes. They need the interaction's token in the path, and not the bot's token."""
        callback = "/interactions/{interaction_id}/{interaction_token}/callback"
        original, one = f"{_WEBHOOK}/messages/{_ORIGINAL}", f"{_WEBHOOK}/messages/{{message_id}}"
        routes = [
            ("POST", callback, self.callback),
            ("POST", _WEBHOOK, self.follow_up),
        ]
        for template in (original, one):
            routes.append(("GET", template, self.read))
            routes.append(("PATCH", template, self.edit))
            routes.append(("DELETE", template, self.delete))
        return [Endpoint(method, template, handle, needs_token=False) for method, template, handle in routes]

    def callback(self, call: Call) -> Answer:
        interaction = self._interactions.find(call.params["interaction_token"])
        if interaction is None or interaction.id != call.number("interaction_id"):
            raise errors.unknown_interaction()
        if interaction.callback_type is not None:
            raise errors.already_acknowledged()
        if self._interactions.is_late(interaction):
            raise errors.unknown_interaction()
        kind, data = call.payload["type"], call.payload.get("data") or {}
        self._apply_callback(interaction, kind, data, call)
        interaction.acknowledge(kind, data)
        self._world.announce("interaction answered", interaction)
        if call.request.query.get("with_response", "").lower() not in ("1", "true"):
            return NO_CONTENT
        return Answer(_callback_body(interaction, kind))

    def _apply_callback(self, interaction: Interaction, kind: int, data: Json, call: Call) -> None:
        if kind == interactions.ANSWER:
            interaction.original = self._answer(interaction, data, call, interaction.origin, inside="data")
        elif kind == interactions.DEFER:
            interaction.original = self._placeholder(interaction, data)
        elif kind in (interactions.UPDATE, interactions.DEFER_UPDATE):
            interaction.original = _pressed(interaction)
            if kind == interactions.UPDATE:
                self._posting.edit(interaction.original, data, call.files, inside="data")
        elif kind not in (interactions.CHOICES, interactions.MODAL):
            reason = f"Value must be one of {{4, 5, 6, 7, 8, 9, 10, 12}}; got {kind}."
            raise errors.invalid_form({"type": ("BASE_TYPE_CHOICES", reason)})

    def _answer(
        self, interaction: Interaction, data: Json, call: Call, origin: Origin, inside: str = ""
    ) -> Message:
        ephemeral = (data.get("flags") or 0) & EPHEMERAL
        return self._posting.create(
            interaction.channel,
            data,
            call.files,
            author_id=self._world.bot.id,
            origin=origin,
            only_for=interaction.person.id if ephemeral else None,
            extra_flags=ephemeral,
            inside=inside,
        )

    def _placeholder(self, interaction: Interaction, data: Json) -> Message:
        ephemeral = (data.get("flags") or 0) & EPHEMERAL
        return self._world.post(
            Message(
                id=self._world.snowflakes.next(),
                channel=interaction.channel,
                author_id=self._world.bot.id,
                flags=LOADING | ephemeral,
                only_for=interaction.person.id if ephemeral else None,
                origin=interaction.origin,
            )
        )

    def follow_up(self, call: Call) -> Answer:
        interaction = self._acknowledged(call)
        original = interaction.original
        if original is not None and original.loading and not original.deleted:
            # In Discord the first follow-up replaces "is thinking…".
            return Answer(message_payload.message(self._fill_placeholder(interaction, original, call)))
        origin = Origin(
            interaction.id,
            interaction.type,
            interaction.person.id,
            interaction.pressed.id if interaction.pressed else None,
            original.id if original else None,
        )
        message = self._answer(interaction, call.payload, call, origin)
        interaction.followups.append(message)
        return Answer(message_payload.message(message))

    def read(self, call: Call) -> Answer:
        return Answer(message_payload.message(self._message(self._acknowledged(call), call)))

    def edit(self, call: Call) -> Answer:
        interaction = self._acknowledged(call)
        message = self._message(interaction, call)
        if message.loading:
            self._fill_placeholder(interaction, message, call)
        else:
            self._posting.edit(message, call.payload, call.files)
        return Answer(message_payload.message(message))

    def delete(self, call: Call) -> Answer:
        interaction = self._acknowledged(call)
        message = self._message(interaction, call)
        interaction.original_deleted |= message is interaction.original
        self._world.delete_message(message)
        return NO_CONTENT

    def _fill_placeholder(self, interaction: Interaction, message: Message, call: Call) -> Message:
        filled = self._posting.fill_placeholder(message, call.payload, call.files)
        self._world.announce("interaction answered", interaction)
        return filled

    def _acknowledged(self, call: Call) -> Interaction:
        """The interaction with this token. Raises Refusal unless it is acknowledged and not expired."""
        interaction = self._interactions.find(call.params["webhook_token"])
        if interaction is None or call.number("webhook_id") != self._world.bot.id:
            raise errors.unknown_webhook()
        if self._interactions.has_expired(interaction):
            raise errors.invalid_token()
        if interaction.callback_type is None:
            raise errors.unknown_webhook()
        return interaction

    def _message(self, interaction: Interaction, call: Call) -> Message:
        wanted = call.params.get("message_id", _ORIGINAL)
        known = [interaction.original, *interaction.followups]
        for message in known[:1] if wanted == _ORIGINAL else known:
            is_it = message is not None and wanted in (_ORIGINAL, str(message.id))
            if is_it and message is not None and not message.deleted:
                return message
        raise errors.unknown_message()


def _pressed(interaction: Interaction) -> Message:
    if interaction.pressed is None:
        reason = "Only a component's interaction can update a message."
        raise errors.invalid_form({"type": ("INTERACTION_TYPE_INVALID", reason)})
    return interaction.pressed


def _callback_body(interaction: Interaction, kind: int) -> Json:
    about: Json = {"id": str(interaction.id), "type": interaction.type}
    about["channel_id"] = str(interaction.channel.id)
    if interaction.channel.guild is not None:
        about["guild_id"] = str(interaction.channel.guild.id)
    original = interaction.original
    if original is None:
        return {"interaction": about}
    about |= {
        "response_message_id": str(original.id),
        "response_message_loading": original.loading,
        "response_message_ephemeral": original.ephemeral,
    }
    if kind not in (interactions.ANSWER, interactions.UPDATE):
        return {"interaction": about}
    resource = {"type": kind, "message": message_payload.message(original)}
    return {"interaction": about, "resource": resource}
