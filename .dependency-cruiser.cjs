// The import arrows: cli -> client, workers -> activities -> hypervisor -> domain; client, workflows -> domain.
const folder = (from, allowed, comment) => ({
  name: `${from}-imports-${allowed.join('-') || 'nothing'}`,
  comment,
  severity: 'error',
  from: { path: `^${from}/` },
  to: {
    path: '^(domain|workflows|activities|hypervisor|workers|client|cli|test|bench)/',
    pathNot: `^(${[from, ...allowed].join('|')})/`,
  },
});
const onlyUserOf = (name, file, comment) => ({
  name: `only-${file.replace(/\W+/g, '-')}-uses-${name}`,
  comment,
  severity: 'error',
  from: { path: '^(domain|workflows|activities|hypervisor|workers|client|cli)/', pathNot: file },
  to: { path: `node_modules/${name}/` },
});
// The rooms of a folder, from the ground up: a room imports from floors below its own and from nothing beside or above it.
const floors = {
  hypervisor: [
    ['process', 'locks', 'http', 'signatures', 'image-inspector'],
    ['files', 'keystone'],
    ['host', 'libvirt', 'secrets', 'sources', 'space', 'volumes'],
    ['config-drive', 'programs'],
    ['disks', 'injection'],
    ['image-store', 'root-file-system'],
    ['backends', 'instance'],
    ['reconcile'],
  ],
  client: [['temporal'], ['hosts', 'request'], ['progress'], ['operations', 'maintenance']],
  activities: [
    ['context', 'fencing'],
    ['disks', 'reconcile'],
  ],
};
const roomsOf = (top) =>
  floors[top].flatMap((rooms, floor) =>
    rooms.map((room) => ({
      name: `${top}-${room}-imports-from-below`,
      comment: 'rooms stand on each other; two that need one another are one, or need a third below them',
      severity: 'error',
      from: { path: `^${top}/${room}/` },
      to: { path: `^${top}/`, pathNot: `^${top}/(${[room, ...floors[top].slice(0, floor).flat()].join('|')})/` },
    })),
  );
const inNoRoom = (top, doors) => ({
  name: `${top}-has-rooms`,
  comment: 'a new file finds a room, or a new room a floor',
  severity: 'error',
  from: { path: `^${top}/`, pathNot: `^${top}/((${floors[top].flat().join('|')})/|${doors})` },
  to: {},
});
module.exports = {
  forbidden: [
    ...['hypervisor', 'client', 'activities'].flatMap(roomsOf),
    inNoRoom('hypervisor', '$'),
    inNoRoom('client', '(index|connect-client)\\.ts$'),
    folder('domain', [], 'the rules of the field depend on nothing'),
    folder('client', ['domain'], 'a control plane imports the client, and must not get a hypervisor with it'),
    folder('hypervisor', ['domain'], 'what touches a machine knows nothing of Temporal'),
    folder('activities', ['hypervisor', 'domain'], 'a step is the only place where Temporal and the machine meet'),
    folder('workers', ['activities', 'hypervisor', 'domain'], 'workflows are loaded by path, never imported'),
    folder('cli', ['client', 'workers', 'hypervisor', 'domain'], 'the terminal is on top'),
    {
      name: 'workflows-see-types-only',
      comment: 'a value import of anything but domain breaks determinism',
      severity: 'error',
      from: { path: '^workflows/' },
      to: { path: '^(activities|hypervisor|workers|client|cli)/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'workflows-stay-in-the-sandbox',
      comment: 'no Node built-ins and no packages but Temporal’s workflow API',
      severity: 'error',
      from: { path: '^workflows/' },
      to: { dependencyTypes: ['core', 'npm'], pathNot: 'node_modules/@temporalio/(workflow|common)/' },
    },
    {
      name: 'failures-leave-by-one-door',
      comment: 'only those who speak to Temporal hand failures over to it; the others throw EverbootFailure',
      severity: 'error',
      from: { path: '^(activities|hypervisor|workers|cli|domain)/', pathNot: '^workers/failure-interceptor.ts$' },
      to: { path: '^domain/application-failure.ts$' },
    },
    {
      name: 'domain-stays-pure',
      comment: 'zod is a pure library; anything else would follow domain into the workflow bundle',
      severity: 'error',
      // Workflows and steps both need this door, and it imports what is in the bundle anyway.
      from: { path: '^domain/', pathNot: '^domain/application-failure.ts$' },
      to: { dependencyTypes: ['core', 'npm'], pathNot: 'node_modules/zod/' },
    },
    onlyUserOf(
      'execa',
      '^hypervisor/process/run-program.ts$',
      'limits, lock inheritance and process groups are set in one place',
    ),
    {
      name: 'the-door-to-temporal-is-narrow',
      comment: 'of Temporal, domain knows the class in which failures travel, and nothing else',
      severity: 'error',
      from: { path: '^domain/application-failure.ts$' },
      to: { dependencyTypes: ['core', 'npm'], pathNot: 'node_modules/@temporalio/common/' },
    },
    onlyUserOf('libvirt', '^hypervisor/libvirt/libvirt.ts$', 'the binding can be replaced in one file'),
    {
      name: 'the-image-store-has-one-door',
      comment:
        'what the store promises of a base holds as long as nobody else touches its files; its settings are types alone',
      severity: 'error',
      from: { path: '^(activities|hypervisor|workers|cli)/', pathNot: '^hypervisor/image-store/' },
      to: { path: '^hypervisor/image-store/', pathNot: '/(image-store|store-settings)\\.ts$' },
    },
    {
      name: 'locks-are-taken-in-order',
      comment: 'withLock refuses a lock that is out of order, and lets go of it whatever happens',
      severity: 'error',
      from: { path: '^(activities|hypervisor|workers|cli)/', pathNot: '^hypervisor/locks/' },
      to: { path: '^hypervisor/locks/kernel-lock\\.ts$' },
    },
    {
      name: 'no-circles',
      severity: 'error',
      comment: 'a circle has no top to read from; workflows/index.ts checks the type of its own exports',
      from: { pathNot: '^workflows/index.ts$' },
      to: { circular: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js', '.cjs', '.mjs'] },
  },
};
