"""The exports volume: mailboxes and exported files, and nothing else of the file system. The only code that
touches that volume."""

from querytask.adapters.exports.mailbox import Damaged, Mailbox
from querytask.adapters.exports.removal import Removal
from querytask.adapters.exports.serving import ServedFile
from querytask.adapters.exports.volume import ExportsVolume, Space

__all__ = ["Damaged", "ExportsVolume", "Mailbox", "Removal", "ServedFile", "Space"]
