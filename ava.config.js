/** Tests run from compiled output; mounts need processes of their own, so no worker threads. */
export default {
  files: ['dist/test/**/*.test.js'],
  nodeArguments: ['--enable-source-maps'],
  workerThreads: false,
  concurrency: 2,
  timeout: '5m',
};
