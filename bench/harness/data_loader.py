# A PyTorch DataLoader over shards, read from files, by GET /blob, or a batch at a time by POST /readv: prints samples a
# second and the share of the time that the loop waited for data, as JSON.
# data_loader.py '{"source": "file"|"blob"|"readv", "root"|"host", "port", "shards", "shardBytes", "sampleBytes", "batch", "workers", "stepMs", "seed"}'
import http.client
import json
import os
import sys
import time

import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, SubsetRandomSampler

options = json.loads(sys.argv[1])
SAMPLE_BYTES = options["sampleBytes"]
SAMPLES_PER_SHARD = options["shardBytes"] // SAMPLE_BYTES


def place(index):
    shard, sample = divmod(index, SAMPLES_PER_SHARD)
    return options["shards"][shard], sample * SAMPLE_BYTES


def tensor(data):
    if len(data) != SAMPLE_BYTES:
        raise ValueError(f"{len(data)} bytes instead of {SAMPLE_BYTES}")
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


class Shards(Dataset):
    connection = None  # one a worker, made after the fork

    def __len__(self):
        return len(options["shards"]) * SAMPLES_PER_SHARD

    def request(self, method, path, body=None):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(options["host"], options["port"])
        self.connection.request(method, path, body)
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status not in (200, 206):
            raise OSError(f"{answer.status} for {path}: {data[:200]}")
        return data

    def __getitem__(self, index):
        if isinstance(index, list):
            extents = [place(each) for each in index]
            body = json.dumps([{"path": path, "off": off, "len": SAMPLE_BYTES} for path, off in extents])
            data = memoryview(self.request("POST", "/readv?ns=dev", body))
            return torch.stack([tensor(data[at : at + SAMPLE_BYTES]) for at in range(0, len(data), SAMPLE_BYTES)])
        path, off = place(index)
        if options["source"] == "blob":
            return tensor(self.request("GET", f"/blob?ns=dev&path={path}&off={off}&len={SAMPLE_BYTES}"))
        with open(os.path.join(options["root"], path), "rb", buffering=0) as file:
            file.seek(off)
            return tensor(file.read(SAMPLE_BYTES))


torch.manual_seed(options["seed"])
data = Shards()
sampler = SubsetRandomSampler(range(len(data)))
workers = options["workers"]
if options["source"] == "readv":
    batches = BatchSampler(sampler, options["batch"], drop_last=True)
    loader = DataLoader(data, batch_size=None, sampler=batches, num_workers=workers)
else:
    loader = DataLoader(data, batch_size=options["batch"], sampler=sampler, drop_last=True, num_workers=workers)

waited = digest = samples = 0
batches = iter(loader)
next(batches)  # starts the workers; not counted
began = before = time.perf_counter()
for batch in batches:
    waited += time.perf_counter() - before
    samples += len(batch)
    digest = (digest + int(batch.sum(dtype=torch.int64))) % (1 << 48)
    if options["stepMs"] > 0:
        time.sleep(options["stepMs"] / 1000)  # what the accelerator would take, without the processor
    before = time.perf_counter()
elapsed = before - began
print(json.dumps({"samplesPerSecond": samples / elapsed, "waitShare": waited / elapsed, "digest": digest}))
