# What pika and kombu do against a broker, printed as JSON.
import json
import os
import sys

import kombu
import pika

URL = os.environ['BROKER']


def confirms():
    connection = pika.BlockingConnection(pika.URLParameters(URL + '/%2F?heartbeat=5'))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare('pika', durable=True, arguments={'x-max-length': 2, 'x-overflow': 'reject-publish'})
    outcomes = []
    for routing_key, body in [('pika', b'1'), ('nowhere', b'2'), ('pika', b'3'), ('pika', b'4')]:
        try:
            properties = pika.BasicProperties(delivery_mode=2, headers={'n': 1, 'big': 2**40, 'text': 'h\u00e4re'})
            channel.basic_publish('', routing_key, body, properties, mandatory=True)
            outcomes.append('confirmed')
        except pika.exceptions.UnroutableError:
            outcomes.append('unroutable')
        except pika.exceptions.NackError:
            outcomes.append('refused')
    method, properties, body = channel.basic_get('pika')
    channel.basic_nack(method.delivery_tag, requeue=True)
    again, _, _ = channel.basic_get('pika')
    channel.basic_ack(again.delivery_tag)
    headers = properties.headers
    connection.close()
    return {'outcomes': outcomes, 'body': body.decode(), 'redelivered': again.redelivered, 'headers': headers}


def consuming():
    connection = pika.BlockingConnection(pika.URLParameters(URL))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=10)
    queue = channel.queue_declare('', exclusive=True).method.queue
    channel.exchange_declare('pika.topic', 'topic', auto_delete=True)
    channel.queue_bind(queue, 'pika.topic', 'a.#')
    for i in range(100):
        channel.basic_publish('pika.topic', 'a.%d' % i, b'%d' % i)
    bodies = []
    for method, _, body in channel.consume(queue, inactivity_timeout=20):
        channel.basic_ack(method.delivery_tag)
        bodies.append(int(body))
        if len(bodies) == 100:
            break
    channel.cancel()
    connection.close()
    return bodies == list(range(100))


def refusals():
    connection = pika.BlockingConnection(pika.URLParameters(URL))
    channel = connection.channel()
    try:
        channel.queue_declare('not there', passive=True)
        code = None
    except pika.exceptions.ChannelClosedByBroker as error:
        code = error.reply_code
    wrong = pika.URLParameters(URL)
    wrong.credentials = pika.PlainCredentials('guest', 'wrong')
    try:
        pika.BlockingConnection(wrong)
        login = None
    except pika.exceptions.ProbableAuthenticationError as error:
        login = type(error).__name__
    connection.close()
    return {'passive': code, 'login': login}


def simple_queue():
    with kombu.Connection(URL) as connection:
        queue = connection.SimpleQueue('kombu')
        for i in range(3):
            queue.put({'number': i}, serializer='json', compression='zlib')
        received = []
        for _ in range(3):
            message = queue.get(block=True, timeout=20)
            received.append(message.payload['number'])
            message.ack()
        queue.close()
        return received


print(json.dumps(globals()[sys.argv[1]]()))
