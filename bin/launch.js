/**
 * Starts a command on a Node.js that can run it, and on any other says what is needed. This file and the
 * launchers parse on Node 10; package.json beside them makes them CommonJS, because old versions refuse
 * files without extension in an ES module package.
 */
'use strict';
/* global require, module, __dirname */
const fs = require('fs');
const path = require('path');
const url = require('url');

/** The same as `engines` in package.json. */
const NEEDED_MAJOR = 20;
const NEEDED_MINOR = 19;
const MODULES = {
  imssfs: 'imssfs.js',
  'umount-imss': 'umount.js',
  'mount.imss': 'mount-helper.js',
};

function fail(command, message) {
  fs.writeSync(2, command + ': ' + message + '\n');
  process.exit(1);
}

module.exports = function launch(command) {
  const version = process.versions.node.split('.').map(Number);
  if (version[0] < NEEDED_MAJOR || (version[0] === NEEDED_MAJOR && version[1] < NEEDED_MINOR)) {
    const needed = NEEDED_MAJOR + '.' + NEEDED_MINOR;
    fail(
      command,
      'Node.js ' +
        needed +
        ' or newer is needed, this is ' +
        process.versions.node +
        '; get it from ' +
        'https://nodejs.org/en/download or with `nvm install 22`, and put it first in PATH',
    );
  }
  const root = path.dirname(__dirname);
  const entry = path.join(root, 'dist', 'src', 'cli', MODULES[command]);
  if (!fs.existsSync(entry)) fail(command, 'not built yet; run `npm run build` in ' + root);
  import(url.pathToFileURL(entry).href)
    .then(
      function (program) {
        return program.main;
      },
      function (error) {
        fail(command, 'cannot start: ' + reason(error) + '; ' + remedy(error, root));
      },
    )
    .then(function (main) {
      return main();
    })
    .catch(function (error) {
      fail(command, reason(error));
    });
};

function reason(error) {
  return String((error && error.message) || error).split('\n')[0];
}

function remedy(error, root) {
  if (error.code === 'EMFILE' || error.code === 'ENFILE') {
    return 'raise the limit of open files, with `ulimit -n 1024`';
  }
  return 'run `npm ci --ignore-scripts` and `npm run build` in ' + root;
}
