#!/usr/bin/python3
# The user data of test/boot/cloud-guest.test.ts: tells what cloud-init made of the guest, on its console and over its
# network, and turns it off.
import grp
import json
import os
import pwd
import subprocess
import urllib.request


def run(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        return str(error)


def described(path):
    facts = os.stat(path)
    owner = f'{pwd.getpwuid(facts.st_uid).pw_name}:{grp.getgrgid(facts.st_gid).gr_name}'
    return {'content': read(path), 'mode': oct(facts.st_mode & 0o7777), 'owner': owner}


def answer_of(address):
    try:
        with urllib.request.urlopen(address, timeout=10) as response:
            return response.read().decode()
    except OSError as error:
        return str(error)


report = {
    'hostname': run('hostname'),
    'keys': read('/home/debian/.ssh/authorized_keys'),
    'file': described('/etc/injected'),
    'vendorFile': described('/etc/from-vendor-data'),
    'addresses': json.loads(run('ip', '-json', 'address', 'show', 'dev', 'eth0')),
    'routes': json.loads(run('ip', '-json', 'route', 'show', 'default')),
    'interfaces': read('/etc/network/interfaces.d/50-cloud-init'),
    'mounted': run('findmnt', '-n', '-o', 'SOURCE', '/mnt'),
    'swaps': read('/proc/swaps'),
    'devices': json.loads(run('cloud-init', 'query', 'ds.meta_data.devices')),
    'launchIndex': run('cloud-init', 'query', 'ds.meta_data.launch_index'),
    'source': run('cloud-init', 'query', 'subplatform'),
    'answer': answer_of('http://203.0.113.1:@PORT@/'),
}
with open('/dev/ttyS0', 'w') as console:
    console.write('\ncloud guest: ' + json.dumps(report) + '\n')
subprocess.run(['systemctl', '--no-block', 'poweroff'])
