"""Speech engines in supervised processes of their own, spoken to in the Wyoming protocol.

Inference never runs in the media process: one busy Python thread there delays every call. A worker is
``python -m voicebot.speech.worker --kind asr ...``: it listens on a Unix socket, answers `describe` and `ping`, and
hands every other event to its *service*.

How a service is added
----------------------
1. Write a module with a function ``create(options: Mapping[str, object]) -> Service`` (see `service.Service`). The
   options are the JSON object given by the worker's `WorkerSpec.options`; parse them there, once.
2. Name it in `service.FACTORIES`: the kind is the key. It is imported only inside the worker process, so heavy or
   GPL-licensed imports may stand at the top of that module, and nowhere else.
3. `Service.warm_up` loads models; the worker announces itself only after it returns. `Service.info` is the Wyoming
   description plus our `Capabilities`. `Service.converse(send)` gives a `Conversation` for each connection: its
   `handle(event)` is awaited event by event (awaiting is the back-pressure), `close()` comes when the peer is gone.
4. In the media process: ``WorkerPool(WorkerSpec(kind="tts", options={...}, count=1))``, `await pool.start()`, then
   ``async with pool.lease() as line`` for each request: `line.send(event)` never blocks, ``await line.receive()``
   gives the next event and raises `PeerLost` the moment that the worker dies or stops answering, so that the request
   can be made again on ``pool.lease(avoid={line.peer})``. Leaving the block closes the connection, which cancels
   whatever the worker still did for it.

One connection carries one request at a time; closing it is the cancel that every Wyoming server understands.
"""
