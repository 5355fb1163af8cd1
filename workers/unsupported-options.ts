import type { Configuration } from '../domain/configuration.ts';

/**
 * Options that ask for what is not built yet. They are refused, a line for each, since ignoring one would give an
 * operator something else than what was asked for.
 */
export function unsupportedOptions({ libvirt, glance, imageCache }: Configuration): readonly string[] {
  const asked = [
    { option: '[libvirt] virt_type', value: libvirt.virtType, supported: ['auto', 'kvm', 'qemu'] },
    { option: '[libvirt] images_type', value: libvirt.imagesType, supported: ['default', 'raw', 'flat', 'qcow2'] },
    { option: '[libvirt] inject_partition', value: libvirt.injectPartition, supported: [-2] },
    { option: '[libvirt] inject_key', value: libvirt.injectKey, supported: [false] },
    { option: '[libvirt] inject_password', value: libvirt.injectPassword, supported: [false] },
    { option: '[libvirt] images_volume_group', value: libvirt.imagesVolumeGroup, supported: [null] },
    { option: '[libvirt] images_rbd_pool', value: libvirt.imagesRbdPool, supported: [null] },
    { option: '[libvirt] images_rbd_ceph_conf', value: libvirt.imagesRbdCephConf, supported: [null] },
    { option: '[libvirt] rbd_user', value: libvirt.rbdUser, supported: [null] },
    // Nothing looks the cache over yet, so a limit would be one that nobody keeps.
    { option: '[image_cache] max_bytes', value: imageCache.maxBytes, supported: [null] },
    { option: '[image_cache] manager_interval', value: imageCache.managerInterval, supported: [2400] },
    {
      option: '[image_cache] remove_unused_original_minimum_age_seconds',
      value: imageCache.removeUnusedOriginalMinimumAgeSeconds,
      supported: [86_400],
    },
    { option: '[glance] verify_glance_signatures', value: glance.verifyGlanceSignatures, supported: [false] },
  ].flatMap(({ option, value, supported }) => {
    if ((supported as unknown[]).includes(value)) return [];
    return [
      `${option}: ${JSON.stringify(value)} is not supported yet, expected ${supported.map((word) => word ?? 'none').join(', ')}`,
    ];
  });
  if (glance.allowedDirectUrlSchemes.length > 0) {
    asked.push('[glance] allowed_direct_url_schemes: direct URLs are not supported yet, expected no schemes');
  }
  if (glance.cloud !== null) {
    asked.push(`[glance] cloud: ${JSON.stringify(glance.cloud)} is not supported yet, expected no cloud`);
  }
  return asked;
}
