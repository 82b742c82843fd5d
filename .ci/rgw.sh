#!/usr/bin/env bash
# Starts Ceph RGW as a real S3 server for the tests: monitor, OSD and gateway on loopback, every port free-chosen, without
# systemd and without root's directories. Needs Debian's radosgw, ceph-mon, ceph-osd, ceph-common.
#
#   .ci/rgw.sh start DIR    everything under DIR, which must not exist; the last line of stdout is the endpoint
#   .ci/rgw.sh stop DIR     ends what was started, and removes DIR
#
# Credentials: access key "test", secret key "testtest"; region us-east-1; path style.
set -euo pipefail
verb=$1
dir=$(realpath -m "$2")
conf=$dir/ceph.conf

end_all() {
  local pid_file pid
  for pid_file in "$dir"/{gateway,osd,mon}.pid; do
    [ -f "$pid_file" ] || continue
    pid=$(<"$pid_file")
    kill "$pid" 2>/dev/null || continue
    for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || continue 2; sleep 0.05; done
    kill -9 "$pid" 2>/dev/null || true
  done
}

until_true() {
  for _ in $(seq 300); do if "$@" >/dev/null 2>&1; then return 0; fi; sleep 0.2; done
  echo "gave up waiting for: $*" >&2
  return 1
}

run() {
  local name=$1
  shift
  "$@" -c "$conf" -f >"$dir/$name.out" 2>&1 </dev/null &
  echo $! >"$dir/$name.pid"
}

if [ "$verb" = stop ]; then
  end_all
  rm -rf "$dir"
  exit 0
fi

[ ! -e "$dir" ] || { echo "$dir exists" >&2; exit 1; }
trap 'end_all' ERR
mkdir -p "$dir"/{mon,osd,gateway,run}
read -r mon_port s3_port < <(node -e '
  const servers = [0, 1].map(() => require("net").createServer().listen(0, "127.0.0.1"));
  Promise.all(servers.map((s) => new Promise((done) => s.once("listening", () => done(s.address().port))))).then((ports) => {
    console.log(ports.join(" "));
    for (const s of servers) s.close();
  });')
fsid=$(node -p 'crypto.randomUUID()')
cat >"$conf" <<C
[global]
fsid = $fsid
mon_host = v2:127.0.0.1:$mon_port/0
public_network = 127.0.0.0/8
cluster_network = 127.0.0.0/8
keyring = $dir/keyring
run_dir = $dir/run
admin_socket = $dir/run/\$name.asok
log_file = $dir/\$name.log
crash_dir = $dir/run
auth_allow_insecure_global_id_reclaim = false
mon_max_pg_per_osd = 1000
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_crush_chooseleaf_type = 0
[mon]
mon_data = $dir/mon
mon_data_avail_crit = 1
mon_data_avail_warn = 1
[osd]
osd_data = $dir/osd
osd_objectstore = bluestore
bluestore_block_size = 8589934592
osd_memory_target = 939524096
osd_class_load_list = *
osd_class_default_list = *
[client.rgw.test]
rgw_data = $dir/gateway
rgw_frontends = beast endpoint=127.0.0.1:$s3_port
C
for entity in "mon.|mon|allow *" "client.admin|mon|allow *" "osd.0|mon|allow profile osd" "client.rgw.test|mon|allow rw"; do
  IFS='|' read -r name service caps <<<"$entity"
  create=(); [ -f "$dir/keyring" ] || create=(--create-keyring)
  ceph-authtool "$dir/keyring" "${create[@]}" --gen-key -n "$name" --cap "$service" "$caps" >/dev/null
done
ceph-authtool "$dir/keyring" -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' >/dev/null
ceph-authtool "$dir/keyring" -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' >/dev/null
ceph-authtool "$dir/keyring" -n client.rgw.test --cap mon 'allow rw' --cap osd 'allow rwx' >/dev/null
monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port]" "$dir/monmap" >/dev/null
ceph-mon -c "$conf" --mkfs -i a --monmap "$dir/monmap" --keyring "$dir/keyring" >/dev/null
run mon ceph-mon -i a
until_true timeout 10 ceph -c "$conf" status
osd_id=$(node -p 'crypto.randomUUID()')
ceph -c "$conf" osd new "$osd_id" >/dev/null
ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$osd_id" >"$dir/osd.mkfs" 2>&1
run osd ceph-osd -i 0
until_true sh -c "ceph -c '$conf' osd stat | grep -q '1 up'"
run gateway radosgw -n client.rgw.test
until_true curl -fsS "http://127.0.0.1:$s3_port/"
radosgw-admin -c "$conf" user create --uid=test --display-name=test --access-key=test --secret-key=testtest >/dev/null 2>&1
disown -a
echo "http://127.0.0.1:$s3_port"
