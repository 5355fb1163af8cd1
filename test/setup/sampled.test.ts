import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { longVariable, sampled, sampleOf, seedVariable } from '../fixtures/sampled.ts';

const cases = [...Array(1000).keys()];
const size = 50;

function inEnvironment(t: TestContext, variables: NodeJS.ProcessEnv): void {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  t.after(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  Object.assign(process.env, variables);
}

test('a sample is the same for the same seed, another for another seed or family, and in the order of the cases', () => {
  const sample = sampleOf('a family', cases, { size, seed: 7 });
  assert.equal(new Set(sample).size, size);
  assert.deepEqual(
    [...sample].sort((one, other) => one - other),
    sample,
  );
  assert.deepEqual(sampleOf('a family', cases, { size, seed: 7 }), sample);
  assert.notDeepEqual(sampleOf('another family', cases, { size, seed: 7 }), sample);
  assert.notDeepEqual(sampleOf('a family', cases, { size, seed: 8 }), sample);
});

test('every case comes into a sample sooner or later', () => {
  const seeds = [...Array(200).keys()];
  const met = new Set(seeds.flatMap((seed) => sampleOf('a family', cases, { size, seed })));
  assert.equal(met.size, cases.length);
});

test('a run takes the sample of its seed; a long one every case of a family, and any run every case of a small one', (t) => {
  inEnvironment(t, { [seedVariable]: '7', [longVariable]: '' });
  assert.deepEqual(sampled('a family', cases, size), sampleOf('a family', cases, { size, seed: 7 }));
  assert.deepEqual(sampled('a family', cases.slice(0, size), size), cases.slice(0, size));
  inEnvironment(t, { [longVariable]: 'yes' });
  assert.deepEqual(sampled('a family', cases, size), cases);
});
