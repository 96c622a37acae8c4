// Whether a peer is on this machine, by its address.
import { BlockList } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')
// A dual-stack listener shows IPv4 peers as ::ffff:a.b.c.d.
loopback.addSubnet('::ffff:127.0.0.0', 104, 'ipv6')

/** Whether an address as Node prints it is a loopback one: 127.0.0.0/8, ::1, or the first mapped into IPv6. */
export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false
  try {
    // Node.js' isIP would compile its expression for IPv6 first, which takes the first login 8 ms.
    return loopback.check(address, address.includes(':') ? 'ipv6' : 'ipv4')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_INVALID_ADDRESS') throw error
    return false
  }
}
