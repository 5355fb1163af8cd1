import type { Configuration } from '../domain/configuration.ts';

/**
 * Options that ask for what is not built yet. They are refused, a line for each, since ignoring one would give an
 * operator something else than what was asked for.
 */
export function unsupportedOptions({ libvirt, glance }: Configuration): readonly string[] {
  const asked = [
    { option: '[libvirt] virt_type', value: libvirt.virtType, supported: ['auto', 'kvm', 'qemu'] },
    {
      option: '[libvirt] images_type',
      value: libvirt.imagesType,
      supported: ['default', 'raw', 'flat', 'qcow2', 'lvm', 'rbd'],
    },
  ].flatMap(({ option, value, supported }) => {
    if ((supported as unknown[]).includes(value)) return [];
    return [
      `${option}: ${JSON.stringify(value)} is not supported yet, expected ${supported.map((word) => word ?? 'none').join(', ')}`,
    ];
  });
  const schemes = glance.allowedDirectUrlSchemes.filter((scheme) => scheme !== 'file');
  if (schemes.length > 0) {
    asked.push(`[glance] allowed_direct_url_schemes: ${schemes.join(', ')} is not supported yet, expected file`);
  }
  return asked;
}
