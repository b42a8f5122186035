"""The article's loop as written, in Python: read up to 100 entries, then for each one, awaited one after the other: take the
lock, add the job, release the lock by a script that checks the token, acknowledge. The jobs are BullMQ's, by its Python package.
"""

import asyncio
import json
import sys
import uuid

import redis.asyncio as redis
from bullmq import Queue

RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"


async def main() -> None:
    given = json.loads(sys.argv[1])
    names, options = given["names"], given["jobOptions"]
    client = redis.Redis.from_url(given["url"], decode_responses=True)
    queue = Queue(names["queue"], {"connection": given["url"], "prefix": names["prefix"]})
    await client.xgroup_create(names["stream"], names["group"], "0", mkstream=True)
    while True:
        messages = await client.xreadgroup(
            groupname=names["group"], consumername="article", streams={names["stream"]: ">"}, count=100, block=5000
        )
        entries = [entry for _, found in messages or [] for entry in found]
        for message_id, data in entries:
            lock, token = f"lock:{data['request_hash']}", str(uuid.uuid4())
            if not await client.set(lock, token, nx=True, px=30000):
                continue
            await queue.add(names["jobName"], data, {**options, "jobId": data["request_hash"]})
            await client.eval(RELEASE, 1, lock, token)
            await client.xack(names["stream"], names["group"], message_id)


asyncio.run(main())
