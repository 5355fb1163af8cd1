import assert from 'node:assert/strict';
import { test } from 'node:test';
import { interfacesFile } from '../../../hypervisor/injection/interfaces-file.ts';

const host = { isContainer: false };

const links = [
  { id: 'a', type: 'phy', ethernet_mac_address: 'fa:16:3e:00:00:01' },
  { id: 'b', type: 'phy', ethernet_mac_address: 'fa:16:3e:00:00:02' },
  { id: 'c', type: 'phy', ethernet_mac_address: 'fa:16:3e:00:00:03' },
];
const networks = [
  {
    id: 'n0',
    type: 'ipv4',
    link: 'a',
    ip_address: '192.0.2.130',
    netmask: '255.255.255.192',
    routes: [
      { network: '10.0.0.0', netmask: '255.0.0.0', gateway: '192.0.2.190' },
      { network: '0.0.0.0', netmask: '0.0.0.0', gateway: '192.0.2.129' },
    ],
    services: [{ type: 'dns', address: '192.0.2.53' }],
  },
  { id: 'n1', type: 'ipv4_dhcp', link: 'b' },
  {
    id: 'n2',
    type: 'ipv6',
    link: 'c',
    ip_address: '2001:db8::5',
    netmask: 'ffff:ffff:ffff:fff0::',
    routes: [{ network: '::', netmask: '::', gateway: '2001:db8::1' }],
  },
];
const services = [
  { type: 'dns', address: '198.51.100.53' },
  { type: 'dns', address: '2001:db8::53' },
];

test('static networks become Debian’s interfaces, as Nova names them; a card with DHCP is counted and left out', () => {
  assert.equal(
    interfacesFile({ links, networks, services }, host),
    `# Written by everboot when the instance was made

auto lo
iface lo inet loopback

auto eth0
iface eth0 inet static
    hwaddress ether fa:16:3e:00:00:01
    address 192.0.2.130
    netmask 255.255.255.192
    broadcast 192.0.2.191
    gateway 192.0.2.129
    dns-nameservers 192.0.2.53 198.51.100.53

auto eth2
iface eth2 inet6 static
    hwaddress ether fa:16:3e:00:00:03
    address 2001:db8::5
    netmask 60
    gateway 2001:db8::1
    dns-nameservers 2001:db8::53

`,
  );
});

test('a card has its first network of each family, and a container adds IPv6 by hand', () => {
  const both = [
    { type: 'ipv4', link: 'a', ip_address: '192.0.2.5/24' },
    { type: 'ipv4', link: 'a', ip_address: '192.0.2.6/24' },
    { type: 'ipv6', link: 'a', ip_address: '2001:db8::5/64', routes: [{ network: '::', gateway: '2001:db8::1' }] },
  ];
  const text = interfacesFile({ links, networks: both }, { isContainer: true }) ?? '';
  assert.match(text, /address 192\.0\.2\.5\n {4}netmask 255\.255\.255\.0\n {4}broadcast 192\.0\.2\.255\n/);
  assert.ok(!text.includes('192.0.2.6'));
  assert.match(text, /post-up ip -6 addr add 2001:db8::5\/64 dev \$\{IFACE\}\n/);
  assert.match(text, /post-up ip -6 route add default via 2001:db8::1 dev \$\{IFACE\}\n/);
});

test('where nothing is static the guest keeps its own file', () => {
  assert.equal(interfacesFile({}, host), null);
  assert.equal(interfacesFile({ links, networks: [networks[1]] }, host), null);
  assert.equal(interfacesFile({ links: 'a', networks: { a: 1 }, services: [null, 3] }, host), null);
});

test('nothing that is no address gets into the file', () => {
  const evil = '192.0.2.1\n    up reboot';
  const network = (changes: object) => ({
    links: [{ id: 'a', ethernet_mac_address: evil }],
    networks: [{ type: 'ipv4', link: 'a', ip_address: '192.0.2.5', netmask: '255.255.255.0', ...changes }],
    services: [{ type: 'dns', address: evil }],
  });
  const routes = [{ network: '0.0.0.0', gateway: evil }];
  assert.ok(!interfacesFile(network({ routes, services: [{ type: 'dns', address: evil }] }), host)?.includes('reboot'));
  for (const changes of [{ ip_address: evil }, { netmask: evil }, { ip_address: 7 }, { netmask: {} }]) {
    assert.equal(interfacesFile(network(changes), host), null, JSON.stringify(changes));
  }
});
