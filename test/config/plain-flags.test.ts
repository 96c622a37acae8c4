// Which command lines of `leveret start` are read without yargs, and that yargs is left all others.
import { describe, expect, it } from 'vitest'
import { plainFlags } from '../../src/config/plain-flags.ts'

describe('plain flags', () => {
  it.each([
    [[], {}],
    [['--port', '5673', '--data-dir=/tmp/x y'], { port: '5673', 'data-dir': '/tmp/x y' }],
    [['--config', 'a.yaml', '--rabbitmq-conf', ''], { config: 'a.yaml', 'rabbitmq-conf': '' }],
    [['--port', '1', '--port', '2'], { port: '2' }],
    [['--heartbeat=-1', '--host='], { heartbeat: '-1', host: '' }],
  ])('are read: %j', (words, flags) => {
    expect(plainFlags(words)).toEqual(flags)
  })

  it.each([
    [['--help']],
    [['-h']],
    [['--version']],
    [['--prot', '1']],
    [['now']],
    [['--port']],
    [['--heartbeat', '-1']],
    [['--host', '--port', '1']],
    [['--default-pass', '"quoted"']],
  ])('are not all that there is: %j', (words) => {
    expect(plainFlags(words)).toBe(null)
  })
})
