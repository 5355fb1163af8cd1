import { z } from 'zod';
import { anyObject, record, text } from './checked-values.ts';
import { deviceTag } from './device-schema.ts';

const networkCard = {
  mac: text('a unicast MAC address such as 52:54:00:12:34:56', {
    maxLength: 17,
    pattern: /^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$/,
  }).exactOptional(),
  model: text('a model of network card that libvirt knows, such as virtio', {
    maxLength: 32,
    pattern: /^[A-Za-z0-9_-]+$/,
  }).exactOptional(),
  tag: deviceTag.exactOptional(),
};

const pluggedCard = z.discriminatedUnion(
  'type',
  [
    record({
      type: z.literal('network'),
      source: text('the name of a libvirt network: 1 to 64 letters, digits, ".", "_" and "-"', {
        maxLength: 64,
        pattern: /^[A-Za-z0-9_.-]+$/,
      }),
      ...networkCard,
    }),
    record({
      type: z.literal('bridge'),
      source: text('the name of a bridge: 1 to 15 letters, digits, ".", "_" and "-"', {
        maxLength: 15,
        pattern: /^[A-Za-z0-9_.-]+$/,
      }),
      ...networkCard,
    }),
    record({
      type: z.literal('tap'),
      source: text('the name of a tap device: 1 to 15 letters, digits, ".", "_" and "-"', {
        maxLength: 15,
        pattern: /^[A-Za-z0-9_.-]+$/,
      }),
      ...networkCard,
    }),
  ],
  { error: ({ code }) => (code === 'invalid_union' ? 'network, bridge or tap' : '{type, source, mac, model, tag}') },
);

/** A network card of the guest, and what it is plugged into. */
export const networkInterface = pluggedCard.refine(({ tag, mac }) => tag === undefined || mac !== undefined, {
  path: ['mac'],
  error: 'a MAC address, which ties the tag to its card in the guest',
});

/** OpenStack’s network_data.json, which everboot hands on without reading it. */
export const networkData = anyObject(64 * 1024);
