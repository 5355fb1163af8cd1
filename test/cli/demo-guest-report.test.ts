import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missingFrom, parseGuestReport } from '../../cli/demo/guest-report.ts';

const sshKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKKK everboot-demo';
const console = [
  '[    0.000000] Linux version 6.1.0',
  'everboot-report: disk sr0 497664 type=iso9660 label=config-2',
  'everboot-report: disk vda 1073741824 type= label=',
  'everboot-report: disk vda2 16777216 type=ext label=cloudimg-rootfs',
  'everboot-report: disk vdb 2147483648 type=ext label=ephemeral0',
  'everboot-report: disk vdc 67108864 type=swap label=',
  'everboot-report: swap vdc 67104768',
  'everboot-report: hostname demo-1a2b',
  `everboot-report: ssh-key ${sshKey}`,
  'everboot-report: done',
  '',
  'Please press Enter to activate this console. ',
].join('\r\n');
const expected = {
  rootBytes: 2 ** 30,
  ephemeralBytes: 2 ** 31,
  swapBytes: 64 * 2 ** 20,
  hostname: 'demo-1a2b',
  sshKey,
};

test('a console is read for disks, swap, host name and ssh keys', () => {
  const report = parseGuestReport(console);
  assert.deepEqual(
    report.disks.map(({ name }) => name),
    ['sr0', 'vda', 'vda2', 'vdb', 'vdc'],
  );
  assert.deepEqual(report.disks[3], { name: 'vdb', sizeBytes: 2 ** 31, type: 'ext', label: 'ephemeral0' });
  assert.deepEqual(report.swap, [{ name: 'vdc', sizeBytes: 67_104_768 }]);
  assert.equal(report.hostname, 'demo-1a2b');
  assert.deepEqual(report.sshKeys, [sshKey]);
  assert.equal(report.done, true);
  assert.deepEqual(missingFrom(report, expected), []);
});

test('a line that is not written to its end is left out', () => {
  const cut = console.slice(0, console.indexOf('2147483648') + 4);
  const report = parseGuestReport(cut);
  assert.deepEqual(
    report.disks.map(({ name }) => name),
    ['sr0', 'vda', 'vda2'],
  );
  assert.equal(report.done, false);
});

test('a console without a report is a report of nothing', () => {
  const nothing = { disks: [], swap: [], hostname: null, sshKeys: [], done: false, failure: null };
  assert.deepEqual(parseGuestReport(''), nothing);
  assert.deepEqual(parseGuestReport('login: \neverboot-report: disk \n'), nothing);
});

test('a guest that has no root says so', () => {
  assert.equal(parseGuestReport('everboot-report: failed no disk\r\n').failure, 'no disk');
});

for (const [title, without, fact] of [
  ['an ephemeral disk without its label', 'ephemeral0', /ephemeral0/],
  ['a swap that is not switched on', 'swap vdc', /swap in use/],
  ['another host name', 'hostname demo-1a2b', /the host name/],
  ['another ssh key', sshKey, /the ssh key/],
  ['a root disk that did not grow', '1073741824', /a root disk/],
  ['a report that does not end', 'done', /the end/],
] as const) {
  test(`${title} is missed`, () => {
    const missing = missingFrom(parseGuestReport(console.replace(without, 'x')), expected);
    assert.equal(missing.length, 1);
    assert.match(missing[0] ?? '', fact);
  });
}
