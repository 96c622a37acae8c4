// The part of rascal that the tests use; the package brings no types.
declare module 'rascal' {
  import type { EventEmitter } from 'node:events'
  import type { Message } from 'amqplib'

  export type AckOrNack = (error?: Error, recovery?: object | object[]) => void

  export interface SubscriberSessionAsPromised extends EventEmitter {
    on(event: 'message', listener: (message: Message, content: unknown, ackOrNack: AckOrNack) => void): this
    on(event: string, listener: (...args: never[]) => void): this
    cancel(): Promise<void>
    setChannelPrefetch(prefetch: number): Promise<void>
  }

  export class BrokerAsPromised extends EventEmitter {
    static create(config: object): Promise<BrokerAsPromised>
    publish(publication: string, message: unknown, overrides?: object | string): Promise<EventEmitter>
    forward(publication: string, message: Message, overrides?: object | string): Promise<EventEmitter>
    subscribe(subscription: string, overrides?: object): Promise<SubscriberSessionAsPromised>
    unsubscribeAll(): Promise<void>
    purge(): Promise<void>
    bounce(): Promise<void>
    nuke(): Promise<void>
    shutdown(): Promise<void>
  }

  export function withDefaultConfig(config: object): object
  export function withTestConfig(config: object): object
}
