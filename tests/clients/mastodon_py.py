"""Watches the streams of a server with Mastodon.py, as a bot would, and prints what it is told, a line of JSON each.

python mastodon_py.py <address of the instance> <token> <hashtag> <list>
"""

import json
import sys

from mastodon import Mastodon, StreamListener


def say(stream, what, value=None):
    # One write, so that lines of different threads do not mix.
    sys.stdout.write(json.dumps([stream, what, value]) + "\n")
    sys.stdout.flush()


class Listener(StreamListener):
    """Says what it is told, under the name of its stream."""

    def __init__(self, stream):
        self.stream = stream

    def on_update(self, status):
        say(self.stream, "update", str(status.id))

    def on_status_update(self, status):
        say(self.stream, "status.update", status.content)

    def on_delete(self, status_id):
        say(self.stream, "delete", str(status_id))

    def on_notification(self, notification):
        say(self.stream, "notification", notification.type)

    def on_filters_changed(self):
        say(self.stream, "filters_changed")

    def on_conversation(self, conversation):
        say(self.stream, "conversation", str(conversation.id))

    def on_announcement(self, announcement):
        say(self.stream, "announcement", announcement.content)

    def on_notifications_merged(self):
        say(self.stream, "notifications_merged")

    def on_unknown_event(self, name, unknown_event=None):
        say(self.stream, "unknown", name)

    def on_websocket_error(self, error, for_stream=None):
        say(self.stream, "error", [str(part) for part in error.args])

    def on_abort(self, err):
        say(self.stream, "abort", str(err))

    def handle_heartbeat(self):
        say(self.stream, "heartbeat")


def main(address, token, hashtag, list_id):
    mastodon = Mastodon(access_token=token, api_base_url=address)
    say("streaming", "healthy", mastodon.stream_healthy())
    # Server-sent events: a connection for each stream.
    asynchronous = {"run_async": True}
    handles = {
        "user": mastodon.stream_user(Listener("user"), **asynchronous),
        "notifications": mastodon.stream_user_notifications(Listener("notifications"), **asynchronous),
        "public": mastodon.stream_public(Listener("public"), **asynchronous),
        "public media": mastodon.stream_public(Listener("public media"), remote=True, only_media=True, **asynchronous),
        "hashtag": mastodon.stream_hashtag(hashtag, Listener("hashtag"), **asynchronous),
        "list": mastodon.stream_list(list_id, Listener("list"), **asynchronous),
        "direct": mastodon.stream_direct(Listener("direct"), **asynchronous),
    }
    # WebSocket: one connection for all of them.
    socket = mastodon.stream_open_websocket(Listener("ws"))
    over = {"websocket_handle": socket}
    mastodon.stream_user(Listener("ws user"), **over)
    mastodon.stream_public(Listener("ws public"), **over)
    mastodon.stream_public(Listener("ws public media"), remote=True, only_media=True, **over)
    mastodon.stream_hashtag(hashtag, Listener("ws hashtag"), **over)
    mastodon.stream_list(list_id, Listener("ws list"), **over)
    mastodon.stream_direct(Listener("ws direct"), **over)
    socket.subscribe("no such stream")
    for name, handle in handles.items():
        handle.join()
        say(name, "ended")
    socket.join()
    say("ws", "ended")


if __name__ == "__main__":
    main(*sys.argv[1:])
