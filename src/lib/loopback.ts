// Whether a peer is on this machine, by its address.
import { BlockList, isIP } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')
// A dual-stack listener shows IPv4 peers as ::ffff:a.b.c.d.
loopback.addSubnet('::ffff:127.0.0.0', 104, 'ipv6')

/** Whether an address as Node prints it is a loopback one: 127.0.0.0/8, ::1, or the first mapped into IPv6. */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false
  const family = isIP(address)
  return family !== 0 && loopback.check(address, family === 4 ? 'ipv4' : 'ipv6')
}
