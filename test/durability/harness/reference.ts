import type { InstanceResult } from '../../../domain/operations.ts';
import { assertCleanSlate } from '../../fixtures/clean-slate.ts';
import { makePlace } from './case-place.ts';
import { workerHere } from './case-worker.ts';
import { inputFor, startCreate, startDelete, tomlOf } from './operations.ts';
import type { Procedure, Step } from './procedures.ts';
import type { HostOrder } from './serve-host.ts';
import { referenceOf, type Stage } from './stage.ts';

export interface Reference {
  readonly procedure: Procedure;
  /** The steps that ran, and those of them that started programs. */
  readonly steps: readonly Step[];
  readonly withPrograms: readonly Step[];
  remove(): Promise<void>;
}

/** A host whose undisturbed instance is there for as long as the cases are run. */
export async function makeReference(stage: Stage, procedure: Procedure): Promise<Reference> {
  const place = await makePlace(stage, undefined);
  const order: HostOrder = {
    ...{ address: stage.address, name: `test-${place.name}`, folder: place.folder, filesFolder: place.filesFolder },
    ...{ images: stage.images, toml: tomlOf(procedure), injections: [], watchesPrograms: true, broken: null },
  };
  const worker = await workerHere(stage.connection, order);
  const input = inputFor(stage, procedure, order.name);
  const result = (await (await startCreate(stage, input)).result()) as InstanceResult;
  stage.references.set(referenceOf(procedure), result);
  return {
    procedure,
    // A boot that is slow looks whether its host is there.
    steps: [...new Set(place.journal.notes().map(({ step }) => step))].filter((step) => step !== 'pingHost'),
    withPrograms: [
      ...new Set(
        place.journal
          .notes()
          .filter(({ what }) => what === 'program')
          .map(({ step }) => step),
      ),
    ],
    async remove(): Promise<void> {
      await (await startDelete(stage, input)).result();
      await assertCleanSlate(place.paths, [input.spec.id]);
      await worker.stop();
      await place.remove();
    },
  };
}
