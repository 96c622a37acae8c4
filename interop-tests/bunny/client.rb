# What programs do with Bunny, the client for Ruby. The first word says what; BROKER and others say where.
require 'bunny'
require 'json'

$stdout.sync = true

def connected(options = {})
  connection = Bunny.new(ENV['BROKER'], { log_level: :fatal, network_recovery_interval: 0.1 }.merge(options))
  connection.start
  result = yield connection
  connection.close if connection.open?
  result
end

def refusal(connection)
  yield connection.create_channel
  'accepted'
rescue Bunny::ChannelLevelException => error
  "#{error.channel_close.reply_code} #{error.channel_close.reply_text}"
end

SCENARIOS = {
  # Confirms, one of them a refusal, and messages that come back.
  'confirms' => lambda {
    connected do |connection|
      channel = connection.create_channel
      channel.confirm_select
      queue = channel.queue('', exclusive: true, arguments: { 'x-max-length' => 1, 'x-overflow' => 'reject-publish' })
      acked = %w[kept refused].map do |body|
        queue.publish(body, persistent: true)
        channel.wait_for_confirms
      end
      returned = Queue.new
      exchange = channel.default_exchange
      exchange.on_return { |info, _, body| returned << "#{info.reply_code} #{info.reply_text} #{info.routing_key} #{body}" }
      exchange.publish('lost', routing_key: 'nowhere', mandatory: true)
      many = connection.create_channel
      many.confirm_select
      target = many.queue('', exclusive: true)
      500.times { |i| target.publish(i.to_s) }
      { acked: acked, nacked: channel.nacked_set.to_a, returned: returned.pop, many: many.wait_for_confirms,
        count: target.message_count }
    end
  },

  'consuming' => lambda {
    connected do |connection|
      channel = connection.create_channel
      channel.prefetch(2)
      exchange = channel.topic('bunny.topic', auto_delete: true)
      queue = channel.queue('', exclusive: true).bind(exchange, routing_key: 'a.#')
      %w[0 1 2 3].each { |body| exchange.publish(body, routing_key: "a.#{body}") }
      exchange.publish('elsewhere', routing_key: 'b')
      deliveries = Queue.new
      queue.subscribe(manual_ack: true) { |info, _, body| deliveries << [info, body] }
      first, second = deliveries.pop, deliveries.pop
      waiting = queue.message_count
      channel.ack(first[0].delivery_tag)
      channel.nack(second[0].delivery_tag, false, true)
      rest = Array.new(3) do
        info, body = deliveries.pop
        channel.ack(info.delivery_tag)
        info.redelivered? ? "#{body} again" : body
      end
      { order: [first[1], second[1]] + rest, waiting: waiting, left: queue.pop[2], heartbeat: connection.heartbeat }
    end
  },

  # A header of every type that the client sends, and all properties.
  'tables' => lambda {
    connected do |connection|
      queue = connection.create_channel.queue('', exclusive: true)
      headers = { 'true' => true, 'false' => false, 'small' => -7, 'large' => 2**40, 'float' => 3.5, 'text' => 'häre'.b,
                  'time' => Time.at(1_700_000_000), 'nil' => nil, 'hash' => { 'in' => { 'deeper' => 1 } },
                  'array' => [1, 'two', { 'three' => false }] }
      sent = { headers: headers, content_type: 'a', content_encoding: 'b', priority: 9, correlation_id: 'c', reply_to: 'd',
               expiration: '60000', message_id: 'e', timestamp: 1_600_000_000, type: 'f', user_id: 'guest', app_id: 'g',
               persistent: true }
      queue.publish('', sent)
      _, properties, = queue.pop
      back = properties.to_hash
      { different: headers.reject { |key, value| back[:headers][key] == value }.keys, count: back[:headers].size,
        properties: (sent.keys - %i[headers persistent timestamp]).all? { |key| back[key] == sent[key] },
        timestamp: back[:timestamp].to_i, mode: back[:delivery_mode] }
    end
  },

  'rpc' => lambda {
    connected do |connection|
      serving = connection.create_channel
      requests = serving.queue('', exclusive: true)
      requests.subscribe do |_, properties, body|
        serving.default_exchange.publish("#{body}!", routing_key: properties.reply_to, correlation_id: properties.correlation_id)
      end
      channel = connection.create_channel
      replies = Queue.new
      channel.queue('amq.rabbitmq.reply-to', no_declare: true).subscribe { |_, properties, body| replies << [properties.correlation_id, body] }
      %w[one two].map do |word|
        channel.default_exchange.publish(word, routing_key: requests.name, reply_to: 'amq.rabbitmq.reply-to', correlation_id: word)
        replies.pop
      end
    end
  },

  'cancelled' => lambda {
    connected do |connection|
      channel = connection.create_channel
      queue = channel.queue('bunny.cancelled')
      cancellations = Queue.new
      queue.subscribe(consumer_tag: 'the consumer', on_cancellation: ->(cancel) { cancellations << cancel.consumer_tag }) {}
      connection.create_channel.queue_delete('bunny.cancelled')
      cancellations.pop
    end
  },

  'bodies' => lambda {
    connected(frame_max: 4096) do |connection|
      queue = connection.create_channel.queue('', exclusive: true)
      whole = [0, 1, 4088, 4089, 1 << 20, 4 << 20].map do |size|
        body = Random.new(size).bytes(size)
        queue.publish(body)
        queue.pop[2].b == body
      end
      { whole: whole, frame: connection.frame_max }
    end
  },

  # Expired, rejected, and one too many, by way of a headers exchange.
  'dead_letters' => lambda {
    connected do |connection|
      channel = connection.create_channel
      exchange = channel.headers('bunny.headers', auto_delete: true)
      dead = channel.queue('', exclusive: true).bind(exchange, arguments: { 'x-match' => 'any', 'kind' => 'job', 'n' => 1 })
      queue = channel.queue('', exclusive: true, arguments: { 'x-dead-letter-exchange' => 'bunny.headers', 'x-max-length' => 1 })
      letters = Queue.new
      dead.subscribe do |_, properties, body|
        death = properties.headers['x-death'][0]
        letters << "#{body}: #{death['reason']} #{death['count']} #{death['time'].class}"
      end
      queue.publish('old', headers: { 'kind' => 'job' }, expiration: '1')
      said = [letters.pop]
      %w[oldest rejected].each { |body| queue.publish(body, headers: { 'n' => 1 }) }
      said << letters.pop
      info, = queue.pop(manual_ack: true)
      channel.reject(info.delivery_tag)
      said << letters.pop
    end
  },

  'refusals' => lambda {
    connected do |connection|
      connection.create_channel.queue('bunny.durable', durable: true)
      connection.create_channel.fanout('bunny.fanout', auto_delete: false)
      said = [
        refusal(connection) { |channel| channel.queue('not there', passive: true) },
        refusal(connection) { |channel| channel.queue('bunny.durable', durable: false) },
        refusal(connection) { |channel| channel.direct('bunny.fanout') },
        refusal(connection) { |channel| channel.queue('', exclusive: true, arguments: { 'x-overflow' => 'wrong' }) }
      ]
      connection.create_channel.queue_delete('bunny.durable')
      connection.create_channel.exchange_delete('bunny.fanout')
      begin
        Bunny.new(ENV['BROKER'], pass: 'wrong', password: 'wrong', log_level: :fatal).start
      rescue Bunny::AuthenticationFailureError => error
        said << error.message
      end
      said
    end
  },

  # The broker runs short of memory.
  'blocked' => lambda {
    connected do |connection|
      notices = Queue.new
      connection.on_blocked { |blocked| notices << blocked.reason }
      connection.on_unblocked { notices << 'unblocked' }
      channel = connection.create_channel
      channel.confirm_select
      puts 'connected'
      channel.default_exchange.publish('waits', routing_key: 'nowhere')
      reason = notices.pop
      puts 'blocked'
      [reason, notices.pop, channel.wait_for_confirms]
    end
  },

  # An operator closes the connection, and the broker is restarted: the client makes everything anew.
  'recovery' => lambda {
    recoveries = Queue.new
    connected(recovery_completed: -> { recoveries << 'recovered' }, recover_from_connection_close: true) do |connection|
      channel = connection.create_channel
      exchange = channel.fanout('bunny.recovered')
      deliveries = Queue.new
      channel.queue('', exclusive: true).bind(exchange).subscribe { |_, _, body| deliveries << body }
      exchange.publish('before')
      got = [deliveries.pop]
      puts 'connected'
      2.times do |i|
        recovered = recoveries.pop
        exchange.publish("after #{i}")
        got << deliveries.pop
        puts recovered
      end
      exchange.delete
      got
    end
  }
}.freeze

puts JSON.generate(SCENARIOS[ARGV[0]].call)
