"""Clients that speak TLS badly, for the listener's tests. Only Python's own library.

tls_faults.py faults PORT AUTHORITIES PAIR SEED ROUNDS
  Each round begins a real handshake and a real MQTT conversation, and at a random byte of what it sends does one of:
  cut the connection, flip a bit, insert garbage, repeat a piece, stop sending. Prints how many rounds were undisturbed
  to the end.
tls_faults.py drip PORT AUTHORITIES PAIR
  Sends a ClientHello a byte every 50 ms and prints after how many seconds the connection was closed.
tls_faults.py flood PORT AUTHORITIES PAIR COUNT
  Publishes COUNT messages and reads nothing until all are sent; prints the identifiers of the PUBACKs in order, as
  "first last count sorted".
"""
import concurrent.futures
import random
import select
import socket
import ssl
import sys
import time

mode, port, authorities, pair = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
context = ssl.create_default_context(cafile=authorities)
context.load_cert_chain(pair)
TOPIC = b"\x00\x12drones/d-1/reports"


def connect(name):
    """Three letters: a second connection of the same name would take the first one's place."""
    return b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03" + name.encode()


def publish(identifier):
    body = TOPIC + identifier.to_bytes(2, "big") + b"{}"
    return b"\x32" + bytes([len(body)]) + body


def dial():
    connection = socket.create_connection(("127.0.0.1", port))
    connection.settimeout(5)
    return connection


class Fault:
    """Disturbs a stream of bytes once."""

    def __init__(self, choose, name):
        self.choose = choose
        self.name = name
        self.at = choose.randrange(0, 3500)
        self.kind = choose.choice(["cut", "flip", "garbage", "repeat", "stop", "none"])
        self.done = self.kind == "none"
        self.sent = 0

    def disturb(self, data):
        """What to send, and whether to go on."""
        begin, self.sent = self.sent, self.sent + len(data)
        if self.done or not begin <= self.at < self.sent:
            return data, True
        self.done = True
        place = self.at - begin
        if self.kind == "cut":
            return data[:place], False
        if self.kind == "flip":
            return data[:place] + bytes([data[place] ^ 1 << self.choose.randrange(8)]) + data[place + 1:], True
        if self.kind == "garbage":
            return data[:place] + self.choose.randbytes(self.choose.randrange(1, 20000)), True
        if self.kind == "repeat":
            return data[:place] + data[:place] + data, True
        time.sleep(0.05)
        return data[:place], False


def converse(fault):
    """True when the PUBACK came."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    connection = dial()
    heard = b""
    steps = [tls.do_handshake, lambda: tls.write(connect(fault.name)), lambda: tls.write(publish(1))]
    try:
        while len(heard) < 8:
            needs_more = False
            try:
                if steps:
                    steps[0]()
                    steps.pop(0)
                else:
                    piece = tls.read(100)
                    if not piece:
                        return False
                    heard += piece
            except ssl.SSLWantReadError:
                needs_more = True
            data, goes_on = fault.disturb(outgoing.read())
            if data:
                connection.sendall(data)
            if not goes_on:
                return False
            if needs_more:
                piece = connection.recv(65536)
                if not piece:
                    return False
                incoming.write(piece)
        return heard == b"\x20\x02\x00\x00\x40\x02\x00\x01"
    except (OSError, ssl.SSLError):
        return False
    finally:
        connection.close()


if mode == "faults":
    faults = [Fault(random.Random(int(sys.argv[5]) + number), f"{number:03d}") for number in range(int(sys.argv[6]))]
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        outcomes = list(zip((fault.kind for fault in faults), pool.map(converse, faults)))
    print(sum(kind == "none" for kind, _ in outcomes), sum(kind == "none" and told for kind, told in outcomes))
elif mode == "drip":
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    connection = dial()
    began = time.monotonic()
    try:
        for byte in outgoing.read():
            connection.sendall(bytes([byte]))
            if select.select([connection], [], [], 0.05)[0] and not connection.recv(1):
                break
    except OSError:
        pass
    print(time.monotonic() - began)
elif mode == "flood":
    count = int(sys.argv[5])
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    tls = context.wrap_socket(connection, server_hostname="127.0.0.1")
    tls.sendall(connect("d-1"))
    data = b"".join(publish(number % 65535 + 1) for number in range(count))
    wanted = 4 + 4 * count
    heard = bytearray()
    tls.setblocking(False)
    # Some of it is sent before anything is read; then both go on as each can.
    while len(heard) < wanted:
        try:
            if data:
                data = data[tls.send(data[:16384]):]
                continue
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        try:
            piece = tls.recv(1000)
            if not piece:
                break
            heard += piece
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            select.select([tls], [tls] if data else [], [], 5)
    acknowledged = [int.from_bytes(heard[at + 2:at + 4], "big") for at in range(4, len(heard), 4)]
    print(acknowledged[0], acknowledged[-1], len(acknowledged), acknowledged == [n % 65535 + 1 for n in range(count)])
