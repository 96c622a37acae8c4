// The ready messages of a queue with priorities: a backlog for each level that is in use, the highest first.
import { Backlog, type BacklogHost } from './backlog.ts'
import type { QueueLog, StoredMessage } from '../ports.ts'
import type { Message } from '../message.ts'
import type { BrowsedPage, Place } from './browse.ts'
import type { Entry } from './entry.ts'
import type { Withdrawal } from './gap.ts'
import type { UnreadMessage } from './returned.ts'
import { levelIn, type QueueRules } from './rules.ts'

/** What levels need from their queue beside what a backlog does. */
export interface LevelHost extends BacklogHost {
  /** Makes the log of a level that is used for the first time; null in a queue that does not survive a restart. */
  levelLog(): QueueLog | null
  /** The level is there, and so is its log. */
  levelAdded(): void
}

interface Level {
  readonly priority: number
  readonly log: QueueLog | null
  readonly backlog: Backlog
}

/**
 * Behaves as one backlog. Each level has a log of its own: reading back what was paged out, and recovering, is for each
 * level what it is for a queue without priorities. RabbitMQ: strict levels, first in first out within each.
 */
export class PriorityBacklog {
  readonly #host: LevelHost
  readonly #rules: Pick<QueueRules, 'priorityMax' | 'priorityDefault'>
  /** Those in use, the highest first: few, however many there may be. */
  readonly #levels: Level[] = []

  /** `logs` has the logs of the levels that are known, by priority. */
  constructor(
    rules: Pick<QueueRules, 'priorityMax' | 'priorityDefault'>,
    logs: ReadonlyMap<number, QueueLog>,
    host: LevelHost,
  ) {
    this.#rules = rules
    this.#host = host
    for (const [priority, log] of logs) this.#add(priority, log)
  }

  /** The logs of the levels that are in use, by priority. */
  get logs(): ReadonlyMap<number, QueueLog> {
    const logs = new Map<number, QueueLog>()
    for (const { priority, log } of this.#levels) if (log !== null) logs.set(priority, log)
    return logs
  }

  get count(): number {
    let count = 0
    for (let i = 0; i < this.#levels.length; i++) count += this.#levels[i]!.backlog.count
    return count
  }

  get unknownCount(): number {
    let count = 0
    for (const { backlog } of this.#levels) count += backlog.unknownCount
    return count
  }

  get bytes(): number {
    let bytes = 0
    for (const { backlog } of this.#levels) bytes += backlog.bytes
    return bytes
  }

  get residentBytes(): number {
    let bytes = 0
    for (const { backlog } of this.#levels) bytes += backlog.residentBytes
    return bytes
  }

  get residentCount(): number {
    let count = 0
    for (const { backlog } of this.#levels) count += backlog.residentCount
    return count
  }

  get passingBytes(): number {
    let bytes = 0
    for (let i = 0; i < this.#levels.length; i++) bytes += this.#levels[i]!.backlog.passingBytes
    return bytes
  }

  /** The log that a message which survives a restart belongs to. */
  logFor(message: Message): QueueLog | null {
    return this.#levelOf(message).log
  }

  logOf(entry: Entry): QueueLog {
    return this.#levelOf(entry.message).backlog.logOf(entry)
  }

  push(entry: Entry): void {
    this.#levelOf(entry.message).backlog.push(entry)
  }

  giveBack(entry: Entry): void {
    this.#levelOf(entry.message).backlog.giveBack(entry)
  }

  giveBackUnread(log: QueueLog, unread: UnreadMessage): void {
    this.#writing(log).giveBackUnread(log, unread)
  }

  restoredFrom(log: QueueLog, stored: StoredMessage): Entry {
    return this.#writing(log).restoredFrom(log, stored)
  }

  remove(entry: Entry): void {
    this.#levelOf(entry.message).backlog.remove(entry)
  }

  /** Looks at messages from a place on: level by level, the highest first. */
  async browse(from: Place): Promise<BrowsedPage> {
    const level = this.#levels.find(({ priority }) => priority <= from.priority)
    if (level === undefined) return { messages: [], next: null }
    const { priority, backlog } = level
    const { messages, next } = await backlog.browse({
      priority,
      position: priority === from.priority ? from.position : 0,
    })
    return { messages, next: next ?? (priority === 0 ? null : { priority: priority - 1, position: 0 }) }
  }

  /** Takes messages out at these positions, wherever they stand. */
  async withdraw(positions: readonly number[], withdrawal: Withdrawal): Promise<void> {
    for (const { backlog } of [...this.#levels]) await backlog.withdraw(positions, withdrawal)
  }

  /** Whether the next message is in memory. One of a lower level does not go before it. */
  get available(): boolean {
    return this.#first()?.available ?? false
  }

  peek(): Entry | undefined {
    return this.#first()?.peek()
  }

  take(): Entry | undefined {
    return this.#first()?.take()
  }

  clear(settle: (entry: Entry) => void): void {
    for (const { backlog } of this.#levels) backlog.clear(settle)
  }

  /** The queue is gone. */
  drop(): void {
    for (const { backlog, log } of this.#levels) {
      backlog.drop()
      log?.drop()
    }
  }

  afterRead(callback: (read: boolean) => void): void {
    const first = this.#first()
    if (first === undefined) callback(false)
    else first.afterRead(callback)
  }

  /** The lowest position of all levels; Infinity when there is no message. */
  get firstPosition(): number {
    let first = Infinity
    for (const { backlog } of this.#levels) first = Math.min(first, backlog.firstPosition)
    return first
  }

  get storedDeadline(): number {
    let first = Infinity
    for (const { backlog } of this.#levels) first = Math.min(first, backlog.storedDeadline)
    return first
  }

  get unreadableCount(): number {
    let count = 0
    for (const { backlog } of this.#levels) count += backlog.unreadableCount
    return count
  }

  async rereadUnreadable(): Promise<void> {
    for (const { backlog } of [...this.#levels]) await backlog.rereadUnreadable()
  }

  expireStored(now: number): void {
    for (const { backlog } of this.#levels) backlog.expireStored(now)
  }

  #first(): Backlog | undefined {
    for (let i = 0; i < this.#levels.length; i++) {
      const { backlog } = this.#levels[i]!
      if (backlog.count > 0) return backlog
    }
    return undefined
  }

  /** The backlog of the level that has its messages in this log. */
  #writing(log: QueueLog): Backlog {
    return this.#levels.find(({ backlog }) => backlog.writesTo(log))!.backlog
  }

  #levelOf(message: Message): Level {
    const priority = levelIn(this.#rules, message)
    for (let i = 0; i < this.#levels.length; i++) {
      const level = this.#levels[i]!
      if (level.priority === priority) return level
    }
    const level = this.#add(priority, this.#host.levelLog())
    this.#host.levelAdded()
    return level
  }

  #add(priority: number, log: QueueLog | null): Level {
    const level = { priority, log, backlog: new Backlog(log, this.#host) }
    const index = this.#levels.findIndex((other) => other.priority < priority)
    this.#levels.splice(index < 0 ? this.#levels.length : index, 0, level)
    return level
  }
}
