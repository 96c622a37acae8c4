// What is written down about the settings.
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { configurationDocument, effectiveDocument, helpLine } from '../../src/config/document.ts'
import { KEYS } from '../../src/config/schema.ts'

describe('the documentation of the settings', () => {
  it('is what the settings say: run vitest with -u after a change', async () => {
    await expect(configurationDocument()).toMatchFileSnapshot('../../docs/configuration.md')
  })

  it('helps with every key, and with its unit', () => {
    for (const key of KEYS) expect(helpLine(key)).toMatch(/^[A-Z].*[.)]$/)
    expect(helpLine('heartbeat')).toMatch(/In seconds\.$/)
  })

  it('shows the values that hold and where they come from, but no secret', async () => {
    const shown = effectiveDocument(
      await loadConfig({ flags: { 'default-pass': 'hidden', port: '1' }, environment: {} }),
    )
    expect(shown).toMatch(/^port: 1 +# --port$/m)
    expect(shown).toMatch(/^host: null +# default$/m)
    expect(shown).toMatch(/^loopback-users: \["guest"\] +# default$/m)
    expect(shown).not.toContain('hidden')
    const users = effectiveDocument(
      await loadConfig({
        flags: { 'default-users': '{"password": {"password": "hidden"}, "bob": {}}' },
        environment: {},
      }),
    )
    expect(users).toContain('default-users: {"password":{"vhost-pattern":".*","password":"(not shown)","tags":[],')
    expect(users).toContain('"bob":{"vhost-pattern":".*","password":null,')
    expect(users).not.toContain('hidden')
  })
})
