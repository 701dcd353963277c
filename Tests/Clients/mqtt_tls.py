"""One drone that speaks MQTT over TLS, by a client that no one here wrote (paho-mqtt): the integration tests run this.

mqtt_tls.py PORT VERSION AUTHORITIES PAIR OUTPUT TOPIC=BODY…
  Connects with the certificate and key in PAIR (absent: "-"), publishes each with QoS 1, waits for its PUBACK, then
  stays until it is cut off or stdin ends. OUTPUT gets a line for each event: "connected CODE", "puback CODE",
  "disconnected CODE", "failed REASON", "stdin ended".
"""
import select
import ssl
import sys
import threading

import paho.mqtt.client as mqtt

port, version, authorities, pair, output = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5]
lines = open(output, "w", buffering=1)
connected, ended, answered = threading.Event(), threading.Event(), threading.Semaphore(0)
client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2, client_id="paho",
    protocol=mqtt.MQTTv5 if version == "5" else mqtt.MQTTv311)
context = ssl.create_default_context(cafile=authorities)
if pair != "-":
    context.load_cert_chain(pair)
client.tls_set_context(context)


def on_connect(client, userdata, flags, reason, properties):
    lines.write(f"connected {reason.value}\n")
    if not reason.is_failure:
        connected.set()


def on_disconnect(client, userdata, flags, reason, properties):
    lines.write(f"disconnected {reason.value}\n")
    ended.set()
    connected.set()


def on_publish(client, userdata, mid, reason, properties):
    lines.write(f"puback {reason.value}\n")
    answered.release()


client.on_log = lambda *arguments: print(arguments[-1], file=sys.stderr, flush=True)
client.on_connect, client.on_disconnect, client.on_publish = on_connect, on_disconnect, on_publish
try:
    client.connect("127.0.0.1", port, keepalive=30)
except (OSError, ssl.SSLError) as error:
    lines.write(f"failed {type(error).__name__} {error}\n")
    sys.exit(1)
worker = threading.Thread(target=lambda: client.loop_forever(retry_first_connection=False), daemon=True)
client._reconnect_on_failure = False
worker.start()
connected.wait(20)
for message in sys.argv[6:]:
    topic, body = message.split("=", 1)
    client.publish(topic, body, qos=1)
    answered.acquire(timeout=20)
while not ended.is_set():
    if select.select([sys.stdin], [], [], 0.05)[0] and not sys.stdin.read(1):
        lines.write("stdin ended\n")
        client.disconnect()
        ended.wait(5)
