"""Drones that speak MQTT, by a client that no one here wrote (paho-mqtt): the integration tests run this.

mqtt_drones.py PORT DRONES RATE LEDGER STOP-FILE
  Each drone publishes numbered reports with QoS 1, RATE a second, every other one in MQTT 5, and keeps a window of
  unacknowledged ones, which paho sends again after each reconnect. Every PUBACK becomes a line
  "drone boot seq sha256 puback" in LEDGER. When STOP-FILE appears they publish no more, wait until all is
  acknowledged, and print one line: sent, acknowledged, reconnects, sessions that were present.
"""
import hashlib
import os
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PORT, DRONES, RATE, LEDGER, STOP = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], sys.argv[5]
WINDOW = 20
ledger = os.open(LEDGER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


class Drone:
    def __init__(self, number):
        self.name = f"m-{number}"
        self.is_new = number % 2 == 1
        self.lock = threading.Lock()
        self.under_way = {}
        self.early = set()
        self.sent = self.acknowledged = self.connects = self.present = 0
        self.failures = []
        options = {} if self.is_new else {"clean_session": False}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=self.name,
            protocol=mqtt.MQTTv5 if self.is_new else mqtt.MQTTv311, **options)
        self.client.max_inflight_messages_set(WINDOW)
        self.client.reconnect_delay_set(0.02, 0.1)
        self.client.on_publish = self.published
        self.client.on_connect = self.connected
        if self.is_new:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 3600
            self.client.connect_async("127.0.0.1", PORT, keepalive=10, clean_start=False, properties=properties)
        else:
            self.client.connect_async("127.0.0.1", PORT, keepalive=10)
        self.client.loop_start()

    def connected(self, client, userdata, flags, reason, properties):
        self.connects += 1
        self.present += bool(flags.session_present)
        if reason.is_failure:
            self.failures.append(f"CONNACK {reason}")

    def published(self, client, userdata, mid, reason, properties):
        if reason.is_failure:
            self.failures.append(f"PUBACK {reason}")
        with self.lock:
            entry = self.under_way.pop(mid, None)
            if entry is None:
                self.early.add(mid)
                return
        self.note(entry)

    def note(self, entry):
        os.write(ledger, f"{self.name} b {entry[0]} {entry[1]} puback\n".encode())
        self.acknowledged += 1

    def publish(self):
        if len(self.under_way) >= WINDOW:
            return
        self.sent += 1
        body = (
            f'{{"drone_id":"{self.name}","boot":"b","seq":{self.sent},'
            f'"location":{{"lat":48.85,"lon":{self.sent % 90}}},"words":["w{self.sent}"]}}'
        ).encode()
        entry = (self.sent, hashlib.sha256(body).hexdigest())
        # Not under our lock: paho calls `published` with its own lock held, which `publish` needs.
        mid = self.client.publish(f"drones/{self.name}/reports", body, qos=1).mid
        with self.lock:
            is_early = mid in self.early
            if is_early:
                self.early.discard(mid)
            else:
                self.under_way[mid] = entry
        if is_early:
            self.note(entry)


drones = [Drone(number) for number in range(DRONES)]
while not os.path.exists(STOP):
    began = time.monotonic()
    for drone in drones:
        drone.publish()
    time.sleep(max(0.0, 1 / RATE - (time.monotonic() - began)))
deadline = time.monotonic() + 60
while any(drone.under_way for drone in drones) and time.monotonic() < deadline:
    time.sleep(0.02)
for drone in drones:
    drone.client.disconnect()
    drone.client.loop_stop()
failures = [failure for drone in drones for failure in drone.failures]
print(
    sum(drone.sent for drone in drones), sum(drone.acknowledged for drone in drones),
    sum(drone.connects - 1 for drone in drones), sum(drone.present for drone in drones))
if failures or any(drone.under_way for drone in drones):
    print("failures:", failures[:5], "unacknowledged:", sum(len(drone.under_way) for drone in drones), file=sys.stderr)
    sys.exit(1)
