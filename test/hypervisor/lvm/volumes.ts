// All tests that need a device mapper, so that one guest runs them. The thick volumes come last, since their last test
// ends the guest's udev.
import './clearing-volumes.ts';
import './thin-volumes.ts';
import './thick-volumes.ts';
