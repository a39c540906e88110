"""REST API for the rights of members at a printer: the primary owner gives and takes them. An extension of the local
cloud: the interface says what the rights are, not how they are given."""

from __future__ import annotations

from bottle import Bottle, HTTPResponse

from agent.sandbox.accounts import MemberRights, OwnedPrinter
from agent.sandbox.api_context import ApiContext
from agent.sandbox.rights import check_primary, owned_printer
from agent.sandbox.web import ApiError, answer, endpoint, json_object

_ID = "<printer_id:re:[1-9][0-9]{0,17}>"


class RightsApi:
    """Endpoints that take the primary owner's `Authorization: Bearer`."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def install(self, app: Bottle) -> None:
        """Add the routes to `app`."""
        path = f"{self._context.base}/print/printers/{_ID}/members"
        app.route(path, "GET", endpoint(self.members))
        app.route(f"{path}/<member_id>", "PUT", endpoint(self.give))
        app.route(f"{path}/<member_id>", "DELETE", endpoint(self.remove))

    def members(self, printer_id: str) -> HTTPResponse:
        """List the members of a printer and their rights."""
        owned = self._primary(printer_id)
        members = self._context.accounts.members_of(owned.printer.printer_id)
        return answer(200, {"printer_id": owned.printer.printer_id, "members": [_view(member) for member in members]})

    def give(self, printer_id: str, member_id: str) -> HTTPResponse:
        """Give and take a secondary member's rights; what the body does not name stays."""
        owned = self._primary(printer_id)
        member = self._secondary(owned, member_id)
        body = json_object()
        rights = {"is_printer_scoped": member.is_printer_scoped, "is_job_scoped": member.is_job_scoped}
        for name, known in rights.items():
            value = body.get(name, known)
            if not isinstance(value, bool):
                raise ApiError(422, f"{name} must be a bool")
            rights[name] = value
        self._context.accounts.set_rights(owned.printer.printer_id, member_id, **rights)
        return answer(200, _view(self._secondary(owned, member_id)))

    def remove(self, printer_id: str, member_id: str) -> HTTPResponse:
        """Take the printer from a secondary member."""
        owned = self._primary(printer_id)
        self._secondary(owned, member_id)
        self._context.accounts.remove_owner(owned.printer.printer_id, member_id)
        return answer(204)

    def _primary(self, printer_id: str) -> OwnedPrinter:
        owned = owned_printer(self._context.accounts, self._context.asking_member(), int(printer_id))
        check_primary(owned)
        return owned

    def _secondary(self, owned: OwnedPrinter, member_id: str) -> MemberRights:
        for member in self._context.accounts.members_of(owned.printer.printer_id):
            if member.member_id == member_id:
                if member.is_primary:
                    raise ApiError(422, "the primary owner has all rights")
                return member
        raise ApiError(404, "no such member of this printer")


def _view(member: MemberRights) -> dict[str, object]:
    return {
        "member_id": member.member_id,
        "is_primary": member.is_primary,
        "is_printer_scoped": member.is_primary or member.is_printer_scoped,
        "is_job_scoped": member.is_primary or member.is_job_scoped,
    }
