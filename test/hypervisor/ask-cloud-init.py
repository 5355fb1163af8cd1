"""What cloud-init's ConfigDrive datasource reads from the files of a config drive, as JSON:
ask-cloud-init.py FOLDER MAC..., with the folder config_drive in FOLDER. The cards with these addresses are eth0, eth1 ...
"""
import json
import pathlib
import sys

from cloudinit import helpers, settings
from cloudinit.distros import debian
from cloudinit.sources import DataSourceConfigDrive

folder, *macs = sys.argv[1:]
folder = pathlib.Path(folder)

# What it does besides reading: the injected files would be written here, onto this machine.
DataSourceConfigDrive.on_first_boot = lambda *_arguments, **_named: None

paths = helpers.Paths({'cloud_dir': str(folder / 'cloud'), 'run_dir': str(folder / 'run')})
paths.seed_dir = str(folder)
distro = debian.Distro('debian', {}, paths)
source = DataSourceConfigDrive.DataSourceConfigDrive(settings.CFG_BUILTIN, distro, paths)
source.known_macs = {mac: f'eth{index}' for index, mac in enumerate(macs)}


def text(value):
    return value.decode() if isinstance(value, bytes) else value


found = source._get_data()
hostname = source.get_hostname(fqdn=True)
print(json.dumps({
    'found': found,
    'version': source.version,
    'instanceId': source.get_instance_id(),
    'hostname': getattr(hostname, 'hostname', hostname),
    'localHostname': source.metadata['local-hostname'],
    'keys': source.get_public_ssh_keys(),
    'launchIndex': source.metadata['launch_index'],
    'availabilityZone': source.availability_zone,
    'adminPassword': source.metadata.get('admin_pass'),
    'meta': source.metadata.get('meta'),
    'devices': source.metadata.get('devices'),
    'randomSeedLength': len(source.metadata['random_seed']),
    'userData': text(source.userdata_raw),
    'vendorData': source.vendordata_raw,
    'vendorData2': source.vendordata2_pure,
    'files': {path: text(content) for path, content in source.files.items()},
    'deviceMapping': source.ec2_metadata['block-device-mapping'],
    'networkConfig': source.network_config,
}))
