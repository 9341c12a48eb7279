"""Has a server carry out one command: PORT DATABASE JSON, answered as JSON."""

import sys

from bson import json_util
from pymongo import MongoClient

port, database, command = sys.argv[1:]
client = MongoClient("127.0.0.1", int(port), directConnection=True, serverSelectionTimeoutMS=5000)
print(json_util.dumps(client[database].command(json_util.loads(command))))
