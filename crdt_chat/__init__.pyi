# The types of the public names, which __init__.py imports only when they are asked for.
from crdt_chat.client.aio import aconnect as aconnect
from crdt_chat.client.demo import demo as demo
from crdt_chat.client.errors import Offline as Offline
from crdt_chat.client.errors import Refused as Refused
from crdt_chat.client.page import connect as connect

__version__: str
