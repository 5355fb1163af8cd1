import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EverbootFailure } from '../../domain/failures.ts';
import { refuseForeignInterfaces } from '../../domain/interface-rules.ts';

const tap = (source: string) => ({ type: 'tap', source }) as const;

function isRefusal(error: unknown): boolean {
  return error instanceof EverbootFailure && error.code === 'HostUnsuitable' && /tap_devices/.test(error.message);
}

test('a host that names no tap devices gives none to a guest, and networks and bridges to all', () => {
  refuseForeignInterfaces(
    [
      { type: 'network', source: 'default' },
      { type: 'bridge', source: 'br0' },
    ],
    { tapDevices: [] },
  );
  assert.throws(() => refuseForeignInterfaces([tap('tap0')], { tapDevices: [] }), isRefusal);
});

test('tap devices are given by their names and by their beginnings, and no others', () => {
  const settings = { tapDevices: ['vpn-guest', 'tap*'] };
  for (const device of ['vpn-guest', 'tap', 'tap17']) refuseForeignInterfaces([tap(device)], settings);
  for (const device of ['vpn-guest2', 'ta', 'xtap0']) {
    assert.throws(() => refuseForeignInterfaces([tap('tap1'), tap(device)], settings), isRefusal, device);
  }
});
