import { z } from 'zod';
import type { InstanceResult } from './operations.ts';

/** Every file that a boot makes, by its exact name. */
const diskNames = /^(?:disk|disk\.local|disk\.eph[0-9]+|disk\.swap|disk\.config|kernel|ramdisk)$/;

const instanceDisk = z
  .strictObject({
    name: z.string().regex(diskNames).describe('The file’s name in the instance directory.'),
    path: z.string().describe('Its absolute path on the host.'),
    format: z.string().describe('`raw` or `qcow2`.'),
    virtualSizeBytes: z.int().min(0).describe('Its size as the guest sees it.'),
    backingFile: z.string().exactOptional().describe('The cached base image that an overlay stands on.'),
  })
  .readonly();

/** The document that `create --json` prints on success. */
const instanceResult = z
  .strictObject({
    instanceId: z.string().describe('The instance’s id.'),
    name: z.string().describe('The instance’s name.'),
    host: z.string().describe('The host that it is on.'),
    state: z
      .enum(['running', 'defined', 'disks'])
      .describe('What it was brought to: a running domain, a defined one, or disks alone.'),
    directory: z.string().describe('The instance directory on the host.'),
    disks: z.array(instanceDisk).readonly().describe('The files that were made.'),
    domain: z.string().exactOptional().describe('The domain’s name in libvirt.'),
  })
  .meta({ title: 'everboot result', description: 'An instance that was created.' }) satisfies z.ZodType<InstanceResult>;

/** The JSON Schema of what `create` returns. */
export function resultJsonSchema(): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(instanceResult, { io: 'output' });
}
