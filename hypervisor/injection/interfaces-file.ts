import { isIP, isIPv4, isIPv6 } from 'node:net';

/** One address family of a card, every field of it checked: what a tenant wrote becomes lines of a configuration. */
interface Address {
  readonly address: string;
  readonly netmask: string;
  readonly gateway: string | null;
  readonly dns: readonly string[];
}

interface Card {
  readonly mac: string | null;
  readonly ipv4: Address | null;
  readonly ipv6: Address | null;
}

/**
 * Debian's /etc/network/interfaces for the static networks of a network_data.json, or null where it has none. As Nova's
 * `get_injected_network_template` (nova/virt/netutils.py): cards are eth0, eth1 … in the order of the links, each has
 * its first IPv4 and its first IPv6 network, and a card that uses DHCP is left out but counted. What cannot be read as
 * an address is taken for absent.
 */
export function interfacesFile(
  networkData: Readonly<Record<string, unknown>>,
  { isContainer }: { readonly isContainer: boolean },
): string | null {
  const cards = recordsIn(networkData.links).map((link) => cardOf(link, networkData));
  const stanzas = cards.flatMap((card, index) => (card === null ? [] : [stanza(`eth${index}`, card, isContainer)]));
  if (stanzas.length === 0) return null;
  return ['# Written by everboot when the instance was made', 'auto lo\niface lo inet loopback', ...stanzas, ''].join(
    '\n\n',
  );
}

function cardOf(link: Json, networkData: Json): Card | null {
  const networks = recordsIn(networkData.networks).filter((network) => network.link === link.id);
  const first = (version: 4 | 6): Json | undefined =>
    networks.find(({ type }) => typeof type === 'string' && type.startsWith(`ipv${version}`));
  const found = [first(4), first(6)];
  if (found.some((network) => String(network?.type).endsWith('_dhcp'))) return null;
  const services = recordsIn(networkData.services);
  const [ipv4, ipv6] = found.map((network) => (network === undefined ? null : addressOf(network, services)));
  if (!ipv4 && !ipv6) return null;
  const mac = String(link.ethernet_mac_address);
  return { mac: /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac) ? mac : null, ipv4: ipv4 ?? null, ipv6: ipv6 ?? null };
}

/** The types without a further word are the static ones. */
function addressOf(network: Json, services: readonly Json[]): Address | null {
  const [isOfVersion, anywhere] = network.type === 'ipv4' ? [isIPv4, '0.0.0.0'] : [isIPv6, '::'];
  if (network.type !== 'ipv4' && network.type !== 'ipv6') return null;
  const [address = '', prefix] = String(network.ip_address).split('/');
  const netmask = String(network.netmask ?? prefix);
  const isNetmask = isOfVersion(netmask) || /^\d{1,3}$/.test(netmask);
  if (!isOfVersion(address) || !isNetmask) return null;
  const gateway = recordsIn(network.routes).find((route) => route.network === anywhere)?.gateway;
  const dns = [...recordsIn(network.services), ...services].flatMap(({ type, address: server }) =>
    type === 'dns' && typeof server === 'string' && isOfVersion(server) ? [server] : [],
  );
  return {
    address,
    netmask: network.type === 'ipv4' ? dottedMask(netmask) : String(prefixLength(netmask)),
    gateway: typeof gateway === 'string' && isOfVersion(gateway) ? gateway : null,
    dns: [...new Set(dns)],
  };
}

function stanza(name: string, { mac, ipv4, ipv6 }: Card, isContainer: boolean): string {
  const lines = [`auto ${name}`];
  const hwaddress = mac === null ? [] : [`    hwaddress ether ${mac}`];
  if (ipv4 !== null) {
    const broadcast = `    broadcast ${broadcastOf(ipv4)}`;
    lines.push(`iface ${name} inet static`, ...hwaddress, ...addressLines(ipv4, [broadcast]));
  }
  // A container's cards are up before its ifupdown sees them, so that IPv6 is added to what is there.
  if (ipv6 !== null && isContainer) {
    if (ipv4 === null) lines.push(`iface ${name} inet manual`);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: ifupdown puts the card's name in its place.
    const device = 'dev ${IFACE}';
    lines.push(`    post-up ip -6 addr add ${ipv6.address}/${ipv6.netmask} ${device}`);
    if (ipv6.gateway !== null) lines.push(`    post-up ip -6 route add default via ${ipv6.gateway} ${device}`);
  } else if (ipv6 !== null) {
    lines.push(`iface ${name} inet6 static`, ...hwaddress, ...addressLines(ipv6, []));
  }
  return lines.join('\n');
}

function addressLines({ address, netmask, gateway, dns }: Address, afterNetmask: readonly string[]): string[] {
  const lines = [`    address ${address}`, `    netmask ${netmask}`, ...afterNetmask];
  if (gateway !== null) lines.push(`    gateway ${gateway}`);
  if (dns.length > 0) lines.push(`    dns-nameservers ${dns.join(' ')}`);
  return lines;
}

function broadcastOf({ address, netmask }: Address): string {
  const mask = netmask.split('.').map(Number);
  return address
    .split('.')
    .map((part, index) => Number(part) | (~(mask[index] ?? 0) & 0xff))
    .join('.');
}

function dottedMask(netmask: string): string {
  if (isIPv4(netmask)) return netmask;
  const bits = Math.min(Number(netmask), 32);
  return [0, 8, 16, 24].map((before) => 256 - 2 ** (8 - Math.min(Math.max(bits - before, 0), 8))).join('.');
}

/** A mask of IPv6 is ones from its left on, so it is enough to count its digits. */
function prefixLength(netmask: string): number {
  if (isIP(netmask) === 0) return Math.min(Number(netmask), 128);
  const digits = netmask.replace(/::.*$/, '').replaceAll(':', '');
  return [...digits].reduce(
    (bits, digit) => bits + Number.parseInt(digit, 16).toString(2).replaceAll('0', '').length,
    0,
  );
}

type Json = Readonly<Record<string, unknown>>;

function recordsIn(value: unknown): readonly Json[] {
  const isRecord = (item: unknown): item is Json => typeof item === 'object' && item !== null && !Array.isArray(item);
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
