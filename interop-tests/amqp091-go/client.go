// What programs do with amqp091-go, RabbitMQ's client for Go. The first word says what; BROKER and others say where.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

type object = map[string]interface{}

var scenarios = map[string]func() interface{}{
	"confirms": confirms, "consuming": consuming, "topology": topology, "tables": tables, "rpc": rpc, "cancelled": cancelled,
	"transactions": transactions, "bodies": bodies, "priorities": priorities, "deadLetters": deadLetters,
	"refusals": refusals, "blocked": blocked, "closed": closed, "secure": secure,
}

func main() {
	result, err := json.Marshal(scenarios[os.Args[1]]())
	check(err)
	fmt.Println(string(result))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func connect() (*amqp.Connection, *amqp.Channel) {
	connection, err := amqp.Dial(os.Getenv("BROKER"))
	check(err)
	return connection, open(connection)
}

func open(connection *amqp.Connection) *amqp.Channel {
	channel, err := connection.Channel()
	check(err)
	return channel
}

func exclusive(channel *amqp.Channel, arguments amqp.Table) string {
	queue, err := channel.QueueDeclare("", false, true, true, false, arguments)
	check(err)
	return queue.Name
}

func consume(channel *amqp.Channel, queue string, noAck bool) <-chan amqp.Delivery {
	deliveries, err := channel.Consume(queue, "", noAck, false, false, false, nil)
	check(err)
	return deliveries
}

func publish(channel *amqp.Channel, exchange, key string, message amqp.Publishing) {
	check(channel.PublishWithContext(context.Background(), exchange, key, false, false, message))
}

func text(body string) amqp.Publishing {
	return amqp.Publishing{ContentType: "text/plain", Body: []byte(body)}
}

func take(channel *amqp.Channel, queue string) interface{} {
	delivery, ok, err := channel.Get(queue, true)
	check(err)
	if !ok {
		return nil
	}
	return string(delivery.Body)
}

// Confirms waited for one by one, heard of from a channel, and refused; and messages that come back.
func confirms() interface{} {
	connection, channel := connect()
	defer connection.Close()
	check(channel.Confirm(false))
	queue := exclusive(channel, amqp.Table{"x-max-length": 1, "x-overflow": "reject-publish"})
	returns := channel.NotifyReturn(make(chan amqp.Return, 1))
	acked := []bool{}
	for _, body := range []string{"kept", "refused"} {
		confirmation, err := channel.PublishWithDeferredConfirmWithContext(context.Background(), "", queue, true, false, text(body))
		check(err)
		acked = append(acked, confirmation.Wait())
	}
	confirmation, err := channel.PublishWithDeferredConfirmWithContext(context.Background(), "", "nowhere", true, false, text("lost"))
	check(err)
	confirmation.Wait()
	returned := <-returns
	many := open(connection)
	check(many.Confirm(false))
	notices := many.NotifyPublish(make(chan amqp.Confirmation, 500))
	target := exclusive(many, nil)
	for i := 0; i < 500; i++ {
		publish(many, "", target, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte{byte(i)}})
	}
	count := 0
	for i := 1; i <= 500; i++ {
		if notice := <-notices; notice.Ack && notice.DeliveryTag == uint64(i) {
			count++
		}
	}
	return object{"acked": acked, "returned": object{"code": returned.ReplyCode, "text": returned.ReplyText,
		"key": returned.RoutingKey, "body": string(returned.Body)}, "noticed": count}
}

// Prefetch, acknowledgement of several, requeueing, and an order that stays.
func consuming() interface{} {
	connection, channel := connect()
	defer connection.Close()
	queue := exclusive(channel, nil)
	for i := 0; i < 10; i++ {
		publish(channel, "", queue, text(fmt.Sprint(i)))
	}
	check(channel.Qos(3, 0, false))
	deliveries := consume(channel, queue, false)
	first := []amqp.Delivery{<-deliveries, <-deliveries, <-deliveries}
	waiting, err := channel.QueueInspect(queue)
	check(err)
	check(first[1].Ack(true))
	check(first[2].Nack(false, true))
	order := []string{}
	redelivered := 0
	for len(order) < 8 {
		delivery := <-deliveries
		order = append(order, string(delivery.Body))
		if delivery.Redelivered {
			redelivered++
		}
		check(delivery.Ack(false))
	}
	return object{"waiting": waiting.Messages, "consumers": waiting.Consumers, "order": order, "redelivered": redelivered}
}

// Every type of exchange, bound to each other as well, and what becomes of those that nobody needs.
func topology() interface{} {
	connection, channel := connect()
	defer connection.Close()
	reached := object{}
	for _, kind := range []string{"direct", "fanout", "topic", "headers"} {
		exchange := "go." + kind
		check(channel.ExchangeDeclare(exchange, kind, true, true, false, false, nil))
		queue := exclusive(channel, nil)
		arguments := amqp.Table{}
		if kind == "headers" {
			arguments = amqp.Table{"x-match": "all", "number": 7, "word": "yes"}
		}
		check(channel.QueueBind(queue, map[string]string{"direct": "a.b", "topic": "a.*"}[kind], exchange, false, arguments))
		for _, key := range []string{"a.b", "a.c", "b.a"} {
			headers := amqp.Table{"number": 7, "word": "yes"}
			if key == "b.a" {
				headers["number"] = 8
			}
			publish(channel, exchange, key, amqp.Publishing{Headers: headers, Body: []byte(key)})
		}
		got := []string{}
		for body := take(channel, queue); body != nil; body = take(channel, queue) {
			got = append(got, body.(string))
		}
		reached[kind] = got
		check(channel.QueueUnbind(queue, map[string]string{"direct": "a.b", "topic": "a.*"}[kind], exchange, arguments))
		other := open(connection)
		gone := other.ExchangeDeclarePassive(exchange, kind, true, true, false, false, nil)
		reached[kind+" gone"] = gone != nil
	}
	check(channel.ExchangeDeclare("go.source", "fanout", false, true, false, false, nil))
	check(channel.ExchangeDeclare("go.target", "fanout", false, true, false, false, amqp.Table{"alternate-exchange": "amq.fanout"}))
	check(channel.ExchangeBind("go.target", "", "go.source", false, nil))
	queue := exclusive(channel, nil)
	check(channel.QueueBind(queue, "", "go.target", false, nil))
	publish(channel, "go.source", "", text("through both"))
	reached["bound exchanges"] = take(channel, queue)
	purged, err := channel.QueuePurge(queue, false)
	check(err)
	deleted, err := channel.QueueDelete(queue, true, true, false)
	check(err)
	reached["purged and deleted"] = []int{purged, deleted}
	return reached
}

// A header of every type that the client can send.
func tables() interface{} {
	connection, channel := connect()
	defer connection.Close()
	queue := exclusive(channel, nil)
	sent := amqp.Table{
		"bool": true, "byte": byte(200), "int8": int8(-8), "int16": int16(-1600),
		"int32": int32(-320000), "int64": int64(math.MinInt64), "float32": float32(1.5),
		"float64": math.Pi, "decimal": amqp.Decimal{Scale: 2, Value: 314}, "string": "häre", "bytes": []byte{0, 255},
		"time": time.Unix(1700000000, 0), "nothing": nil, "table": amqp.Table{"in": amqp.Table{"deeper": int64(1)}},
		"array": []interface{}{int32(1), "two", amqp.Table{"three": false}, nil},
	}
	all := amqp.Publishing{Headers: sent, ContentType: "a", ContentEncoding: "b", DeliveryMode: 2, Priority: 9,
		CorrelationId: "c", ReplyTo: "d", Expiration: "60000", MessageId: "e", Timestamp: time.Unix(1600000000, 0), Type: "f",
		UserId: "guest", AppId: "g", Body: []byte{}}
	publish(channel, "", queue, all)
	delivery, _, err := channel.Get(queue, true)
	check(err)
	different := []string{}
	for name, value := range sent {
		if !reflect.DeepEqual(value, delivery.Headers[name]) {
			different = append(different, fmt.Sprintf("%s: %#v", name, delivery.Headers[name]))
		}
	}
	back := amqp.Publishing{Headers: sent, ContentType: delivery.ContentType, ContentEncoding: delivery.ContentEncoding,
		DeliveryMode: delivery.DeliveryMode, Priority: delivery.Priority, CorrelationId: delivery.CorrelationId,
		ReplyTo: delivery.ReplyTo, Expiration: delivery.Expiration, MessageId: delivery.MessageId,
		Timestamp: delivery.Timestamp, Type: delivery.Type, UserId: delivery.UserId, AppId: delivery.AppId, Body: []byte{}}
	return object{"different": different, "count": len(delivery.Headers), "properties": reflect.DeepEqual(all, back)}
}

// Requests and replies without a queue for the replies.
func rpc() interface{} {
	connection, channel := connect()
	defer connection.Close()
	server := open(connection)
	requests := exclusive(server, nil)
	go func() {
		for request := range consume(server, requests, true) {
			publish(server, "", request.ReplyTo, amqp.Publishing{CorrelationId: request.CorrelationId, Body: append(request.Body, '!')})
		}
	}()
	replies := consume(channel, "amq.rabbitmq.reply-to", true)
	answers := []string{}
	for _, word := range []string{"one", "two"} {
		publish(channel, "", requests, amqp.Publishing{ReplyTo: "amq.rabbitmq.reply-to", CorrelationId: word, Body: []byte(word)})
		reply := <-replies
		answers = append(answers, reply.CorrelationId+": "+string(reply.Body))
	}
	return answers
}

// The queue of a consumer is deleted, and the consumer hears of it.
func cancelled() interface{} {
	connection, channel := connect()
	defer connection.Close()
	queue, err := channel.QueueDeclare("go.cancelled", false, false, false, false, nil)
	check(err)
	cancellations := channel.NotifyCancel(make(chan string, 1))
	_, err = channel.Consume(queue.Name, "the consumer", false, false, false, false, nil)
	check(err)
	_, err = open(connection).QueueDelete(queue.Name, false, false, false)
	check(err)
	return <-cancellations
}

func transactions() interface{} {
	connection, channel := connect()
	defer connection.Close()
	queue := exclusive(channel, nil)
	check(channel.Tx())
	publish(channel, "", queue, text("taken back"))
	check(channel.TxRollback())
	publish(channel, "", queue, text("committed"))
	before, err := channel.QueueInspect(queue)
	check(err)
	check(channel.TxCommit())
	after, err := channel.QueueInspect(queue)
	check(err)
	return object{"before": before.Messages, "after": after.Messages, "body": take(channel, queue)}
}

// Bodies of many frames, in frames as small as they may be.
func bodies() interface{} {
	connection, err := amqp.DialConfig(os.Getenv("BROKER"), amqp.Config{FrameSize: 4096, Heartbeat: 7 * time.Second})
	check(err)
	defer connection.Close()
	channel := open(connection)
	queue := exclusive(channel, nil)
	whole := []bool{}
	for _, size := range []int{0, 1, 4088, 4089, 1 << 20, 8 << 20} {
		body := bytes.Repeat([]byte("leveret "), size/8+1)[:size]
		publish(channel, "", queue, amqp.Publishing{Body: body})
		delivery, _, err := channel.Get(queue, true)
		check(err)
		whole = append(whole, bytes.Equal(delivery.Body, body))
	}
	return object{"whole": whole, "frame": connection.Config.FrameSize, "heartbeat": connection.Config.Heartbeat.Seconds()}
}

func priorities() interface{} {
	connection, channel := connect()
	defer connection.Close()
	queue := exclusive(channel, amqp.Table{"x-max-priority": 5})
	for i, priority := range []uint8{0, 5, 3, 9, 3} {
		publish(channel, "", queue, amqp.Publishing{Priority: priority, Body: []byte(fmt.Sprint(i))})
	}
	order := ""
	for i := 0; i < 5; i++ {
		order += take(channel, queue).(string)
	}
	return order
}

// A message that expires, one that is rejected and one too many go to another queue, which is told why.
func deadLetters() interface{} {
	connection, channel := connect()
	defer connection.Close()
	dead := exclusive(channel, nil)
	queue := exclusive(channel, amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead, "x-max-length": 2})
	deliveries := consume(channel, dead, true)
	publish(channel, "", queue, amqp.Publishing{Expiration: "1", Body: []byte("old")})
	letters := []object{note(<-deliveries)}
	for _, body := range []string{"oldest", "rejected", "stays"} {
		publish(channel, "", queue, text(body))
	}
	letters = append(letters, note(<-deliveries))
	delivery, _, err := channel.Get(queue, false)
	check(err)
	check(delivery.Reject(false))
	return append(letters, note(<-deliveries))
}

func note(letter amqp.Delivery) object {
	death := letter.Headers["x-death"].([]interface{})[0].(amqp.Table)
	_, timed := death["time"].(time.Time)
	return object{"body": string(letter.Body), "reason": death["reason"], "count": death["count"], "timed": timed,
		"keys": len(death["routing-keys"].([]interface{})), "first": letter.Headers["x-first-death-reason"]}
}

// What the broker says when it closes a channel, or a connection.
func refusals() interface{} {
	connection, channel := connect()
	_, err := channel.QueueDeclare("go.durable", true, false, false, false, nil)
	check(err)
	attempts := []func(channel *amqp.Channel) error{
		func(channel *amqp.Channel) error {
			_, err := channel.QueueDeclarePassive("not there", false, false, false, false, nil)
			return err
		},
		func(channel *amqp.Channel) error {
			_, err := channel.QueueDeclare("go.durable", false, false, false, false, nil)
			return err
		},
		func(channel *amqp.Channel) error {
			return channel.ExchangeDeclare("amq.own", "direct", false, false, false, false, nil)
		},
		func(channel *amqp.Channel) error {
			_, err := channel.QueueDeclare("", false, true, true, false, amqp.Table{"x-message-ttl": -1})
			return err
		},
		func(channel *amqp.Channel) error {
			closing := channel.NotifyClose(make(chan *amqp.Error, 1))
			check(channel.Ack(42, false))
			return <-closing
		},
	}
	said := []interface{}{}
	for _, attempt := range attempts {
		said = append(said, describe(attempt(open(connection))))
	}
	_, err = channel.QueueDelete("go.durable", false, false, false)
	check(err)
	closing := connection.NotifyClose(make(chan *amqp.Error, 1))
	check(channel.PublishWithContext(context.Background(), "", "x", false, true, text("at once")))
	said = append(said, describe(<-closing))
	_, err = amqp.DialConfig(os.Getenv("BROKER"), amqp.Config{Vhost: "nowhere"})
	said = append(said, describe(err))
	_, err = amqp.DialConfig(os.Getenv("BROKER"), amqp.Config{SASL: []amqp.Authentication{&amqp.PlainAuth{Username: "guest", Password: "x"}}})
	return append(said, describe(err))
}

func describe(err error) interface{} {
	var refusal *amqp.Error
	if !errors.As(err, &refusal) {
		panic(fmt.Sprint("no refusal: ", err))
	}
	return fmt.Sprint(refusal.Code, " ", refusal.Reason)
}

// The broker runs short of memory.
func blocked() interface{} {
	connection, channel := connect()
	defer connection.Close()
	notices := connection.NotifyBlocked(make(chan amqp.Blocking, 2))
	check(channel.Confirm(false))
	queue := exclusive(channel, nil)
	fmt.Println("connected")
	confirmation, err := channel.PublishWithDeferredConfirmWithContext(context.Background(), "", queue, false, false, text("waits"))
	check(err)
	blocking := <-notices
	fmt.Println("blocked")
	unblocking := <-notices
	return object{"active": []bool{blocking.Active, unblocking.Active}, "reason": blocking.Reason, "acked": confirmation.Wait()}
}

// An operator closes the connection.
func closed() interface{} {
	connection, _ := connect()
	closing := connection.NotifyClose(make(chan *amqp.Error, 1))
	fmt.Println("connected")
	reason := <-closing
	return object{"code": reason.Code, "reason": reason.Reason, "server": reason.Server, "recover": reason.Recover}
}

// TLS with a client certificate, which is the login.
func secure() interface{} {
	authority, err := os.ReadFile(os.Getenv("AUTHORITY"))
	check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	own, err := tls.LoadX509KeyPair(os.Getenv("CERTIFICATE"), os.Getenv("KEY"))
	check(err)
	with := &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: []tls.Certificate{own}}
	connection, err := amqp.DialTLS_ExternalAuth(os.Getenv("BROKER"), with)
	check(err)
	defer connection.Close()
	channel := open(connection)
	queue := exclusive(channel, nil)
	publish(channel, "", queue, text("safe"))
	_, distrust := amqp.DialTLS(os.Getenv("BROKER"), &tls.Config{ServerName: "localhost"})
	return object{"body": take(channel, queue), "distrust": distrust != nil}
}
