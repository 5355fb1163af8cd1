import type { Claim } from './claim.ts';
import type { Flavor } from './flavors.ts';
import type { ImageDescription } from './image.ts';
import type { InstanceSpec } from './spec.ts';
import { element, type XmlElement } from './xml.ts';

/** The namespace of what everboot keeps in a domain's metadata. */
export const metadataNamespace = 'urn:everboot:instance:1';

interface DomainOwner {
  readonly claim: Claim;
  readonly spec: InstanceSpec;
  readonly flavor: Flavor;
  readonly image: ImageDescription | null;
}

/** Whose domain this is: the claim for everboot, the rest for people who look at it with virsh. */
export function instanceMetadata({ claim, spec, flavor, image }: DomainOwner): XmlElement {
  return element('metadata', {}, [
    element('everboot:instance', { 'xmlns:everboot': metadataNamespace }, [
      element('everboot:claim', { instance: claim.instanceId, operation: claim.operationId }),
      element('everboot:name', {}, spec.name),
      element('everboot:flavor', {}, flavor.name),
      image === null ? undefined : element('everboot:image', {}, image.title),
      element('everboot:owner', { project: spec.project, user: spec.user }),
    ]),
  ]);
}
