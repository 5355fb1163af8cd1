import type { Claim } from './claim.ts';
import type { Flavor } from './flavors.ts';
import type { ImageDescription } from './image.ts';
import type { InstanceSpec } from './spec.ts';
import { element, type XmlElement } from './xml.ts';

/** The namespace of what everboot keeps in a domain's metadata. */
const metadataNamespace = 'urn:everboot:instance:1';

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

/** Texts in the metadata are escaped, so that no name of a tenant's can look like a claim. */
const claimPattern = /<everboot:claim instance=['"]([^'"<>]{1,100})['"] operation=['"]([^'"<>]{1,100})['"]\/>/;

/** The claim in a domain's XML as libvirt gives it back; undefined for a domain that everboot did not define. */
export function claimInDomainXml(xml: string): Claim | undefined {
  const [, instanceId, operationId] = claimPattern.exec(xml) ?? [];
  return instanceId === undefined || operationId === undefined ? undefined : { instanceId, operationId };
}
