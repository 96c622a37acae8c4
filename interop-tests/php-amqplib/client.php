<?php
// What programs do with php-amqplib. The first word says what; BROKER_PORT says where.
require '/usr/share/php/PhpAmqpLib/autoload.php';

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPConnectionClosedException;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

const TIMEOUT_S = 20;

function connect(string $password = 'guest'): AMQPStreamConnection
{
    return new AMQPStreamConnection('127.0.0.1', (int) getenv('BROKER_PORT'), 'guest', $password, '/', false, 'AMQPLAIN');
}

function exclusive($channel, array $arguments = []): string
{
    return $channel->queue_declare('', false, false, true, true, false, new AMQPTable($arguments))[0];
}

function refusal(callable $attempt): string
{
    try {
        $attempt(connect()->channel());
        return 'accepted';
    } catch (AMQPProtocolChannelException $error) {
        return $error->getCode() . ' ' . $error->getMessage();
    }
}

$scenarios = [
    // Confirms and refusals by callback, a batch, and messages that come back.
    'confirms' => function () {
        $channel = connect()->channel();
        $channel->confirm_select();
        $said = [];
        $channel->set_ack_handler(function ($message) use (&$said) { $said[] = 'ack ' . $message->body; });
        $channel->set_nack_handler(function ($message) use (&$said) { $said[] = 'nack ' . $message->body; });
        $channel->set_return_listener(function ($code, $text, $exchange, $key, $message) use (&$said) {
            $said[] = "$code $text $key {$message->body}";
        });
        $queue = exclusive($channel, ['x-max-length' => 1, 'x-overflow' => 'reject-publish']);
        foreach (['kept', 'refused'] as $body) {
            $channel->basic_publish(new AMQPMessage($body), '', $queue);
            $channel->wait_for_pending_acks_returns(TIMEOUT_S);
        }
        $channel->basic_publish(new AMQPMessage('lost'), '', 'nowhere', true);
        $channel->wait_for_pending_acks_returns(TIMEOUT_S);
        $channel->set_ack_handler(function () {});
        $target = exclusive($channel);
        for ($i = 0; $i < 300; $i++) {
            $channel->batch_basic_publish(new AMQPMessage((string) $i, ['delivery_mode' => 2]), '', $target);
        }
        $channel->publish_batch();
        $channel->wait_for_pending_acks(TIMEOUT_S);
        return ['said' => $said, 'batch' => $channel->queue_declare($target, true)[1]];
    },
    'consuming' => function () {
        $channel = connect()->channel();
        $channel->exchange_declare('php.direct', 'direct', false, true, true);
        $queue = exclusive($channel, ['x-max-priority' => 3]);
        $channel->queue_bind($queue, 'php.direct', 'key');
        foreach ([0, 3, 1] as $priority) {
            $channel->basic_publish(new AMQPMessage("of $priority", ['priority' => $priority]), 'php.direct', 'key');
        }
        $channel->basic_qos(0, 2, false);
        $order = [];
        $channel->basic_consume($queue, 'the consumer', false, false, false, false, function ($message) use (&$order) {
            $order[] = $message->body . ($message->isRedelivered() ? ' again' : '');
            count($order) === 1 ? $message->nack(true) : $message->ack();
            if (count($order) === 4) $message->getChannel()->basic_cancel($message->getConsumerTag());
        });
        while ($channel->is_consuming()) $channel->wait(null, false, TIMEOUT_S);
        return $order;
    },
    'tables' => function () {
        $channel = connect()->channel();
        $queue = exclusive($channel);
        $sent = ['yes' => true, 'no' => false, 'small' => -7, 'large' => 2 ** 40, 'float' => 2.5, 'text' => 'häre', 'nothing' => null,
            'date' => new DateTime('@1700000000'), 'list' => [1, 'two', ['three' => false]], 'table' => ['in' => ['deeper' => 1]]];
        $properties = ['content_type' => 'a', 'content_encoding' => 'b', 'delivery_mode' => 2, 'priority' => 9, 'correlation_id' => 'c',
            'reply_to' => 'd', 'expiration' => '60000', 'message_id' => 'e', 'timestamp' => 1600000000, 'type' => 'f',
            'user_id' => 'guest', 'app_id' => 'g'];
        $channel->basic_publish(new AMQPMessage('', $properties + ['application_headers' => new AMQPTable($sent)]), '', $queue);
        $message = $channel->basic_get($queue, true);
        $back = $message->get_properties();
        $headers = $back['application_headers']->getNativeData();
        unset($back['application_headers']);
        ksort($headers);
        ksort($sent);
        ksort($back);
        ksort($properties);
        return ['headers' => $headers == $sent, 'properties' => $back == $properties];
    },
    'rpc' => function () {
        $server = connect()->channel();
        $requests = exclusive($server);
        $server->basic_consume($requests, '', false, true, false, false, function ($request) use ($server) {
            $server->basic_publish(new AMQPMessage("{$request->body}!", ['correlation_id' => $request->get('correlation_id')]), '', $request->get('reply_to'));
        });
        $client = connect()->channel();
        $answer = null;
        $client->basic_consume('amq.rabbitmq.reply-to', '', false, true, false, false, function ($reply) use (&$answer) {
            $answer = $reply->get('correlation_id') . ': ' . $reply->body;
        });
        $client->basic_publish(new AMQPMessage('one', ['reply_to' => 'amq.rabbitmq.reply-to', 'correlation_id' => 'c']), '', $requests);
        $server->wait(null, false, TIMEOUT_S);
        $client->wait(null, false, TIMEOUT_S);
        return $answer;
    },
    'transactions' => function () {
        $channel = connect()->channel();
        $queue = exclusive($channel);
        $channel->tx_select();
        $channel->basic_publish(new AMQPMessage('taken back'), '', $queue);
        $channel->tx_rollback();
        $channel->basic_publish(new AMQPMessage('committed'), '', $queue);
        $channel->tx_commit();
        return [$channel->basic_get($queue, true)->body, $channel->basic_get($queue, true)];
    },
    'bodies' => function () {
        $channel = connect()->channel();
        $queue = exclusive($channel);
        return array_map(function ($size) use ($channel, $queue) {
            $body = str_repeat('leveret ', intdiv($size, 8)) . str_repeat('x', $size % 8);
            $channel->basic_publish(new AMQPMessage($body), '', $queue);
            return $channel->basic_get($queue, true)->body === $body;
        }, [0, 1, 131064, 131065, 4 << 20]);
    },
    'deadLetters' => function () {
        $channel = connect()->channel();
        $dead = exclusive($channel);
        $queue = exclusive($channel, ['x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => $dead]);
        $letters = [];
        $channel->basic_consume($dead, '', false, true, false, false, function ($message) use (&$letters) {
            $death = $message->get('application_headers')->getNativeData()['x-death'][0];
            $letters[] = "{$message->body}: {$death['reason']} {$death['count']}";
        });
        $channel->basic_publish(new AMQPMessage('old', ['expiration' => '1']), '', $queue);
        $channel->wait(null, false, TIMEOUT_S);
        $channel->basic_publish(new AMQPMessage('rejected'), '', $queue);
        $channel->basic_get($queue)->reject(false);
        $channel->wait(null, false, TIMEOUT_S);
        return $letters;
    },
    'refusals' => function () {
        $said = [
            refusal(fn ($channel) => $channel->queue_declare('not there', true)),
            refusal(fn ($channel) => $channel->exchange_declare('amq.direct', 'fanout', false, true, false)),
            refusal(fn ($channel) => $channel->basic_consume('not there')),
        ];
        try {
            connect('wrong');
        } catch (AMQPConnectionClosedException $error) {
            $said[] = $error->getCode() . ' ' . $error->getMessage();
        }
        return $said;
    },
];

echo json_encode($scenarios[$argv[1]]()), "\n";
