# A round trip with pika, whose blocking connection is what most programs use: confirms, a return, a requeue.
import json
import os

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ['INTEROP_BROKER']))
channel = connection.channel()
channel.confirm_delivery()
queue = channel.queue_declare('', exclusive=True, arguments={'x-max-length': 5}).method.queue
properties = pika.BasicProperties(headers={'n': 1, 'when': None, 'list': ['a', 2]}, delivery_mode=2)
channel.basic_publish('', queue, b'hello', properties, mandatory=True)
method, got, body = channel.basic_get(queue)
channel.basic_nack(method.delivery_tag, requeue=True)
for again, _, _ in channel.consume(queue, inactivity_timeout=30):
    channel.basic_ack(again.delivery_tag)
    break
channel.cancel()
try:
    channel.basic_publish('', 'nowhere-' + queue, b'lost', mandatory=True)
    returned = False
except pika.exceptions.UnroutableError:
    returned = True
connection.close()
print(json.dumps({'body': body.decode(), 'headers': got.headers, 'redelivered': again.redelivered, 'returned': returned}))
