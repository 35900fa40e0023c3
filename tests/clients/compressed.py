"""Watches `user` over WebSockets with and without an offer of compression, with the package websockets, and prints what it is
told, a line of JSON each.

python compressed.py <ws://address> <token>
"""

import json
import sys
import threading

from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

OFFERS = {
    "plain": {"compression": None},
    "default": {"compression": "deflate"},
    "no takeover": {
        "compression": None,
        "extensions": [
            ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
        ],
    },
    "small windows": {
        "compression": None,
        "extensions": [ClientPerMessageDeflateFactory(server_max_window_bits=12, client_max_window_bits=9)],
    },
    "too small a window": {
        "compression": None,
        "extensions": [ClientPerMessageDeflateFactory(server_max_window_bits=9)],
    },
}


def say(name, what, value=None):
    # One write, so that lines of different threads do not mix.
    sys.stdout.write(json.dumps([name, what, value]) + "\n")
    sys.stdout.flush()


def watch(name, offer, address, token):
    with connect(address, subprotocols=[token], **offer) as socket:
        say(name, "extensions", socket.response.headers.get("Sec-WebSocket-Extensions", ""))
        # Twice, as the second one could refer to the first if that had not been ruled out.
        for _ in range(2):
            socket.send(json.dumps({"type": "subscribe", "stream": "user"}))
        socket.send(json.dumps({"type": "subscribe", "stream": "no such stream"}))
        try:
            for message in socket:
                message = json.loads(message)
                if "error" in message:
                    say(name, "error", message["error"])
                elif message["event"] == "delete":
                    say(name, "delete", message["payload"])
                else:
                    say(name, message["event"], json.loads(message["payload"])["content"])
        except ConnectionClosed:
            pass
        say(name, "closed", socket.close_code)


def main(address, token):
    threads = [threading.Thread(target=watch, args=(*offer, address, token)) for offer in OFFERS.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
