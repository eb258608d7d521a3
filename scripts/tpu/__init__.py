"""Runs on Cloud TPUs: python -m scripts.tpu. None of it has met a real TPU; docs/tpu.md says what is not known.

machine.py: what configs/tpu/*.gin describe; request.py: what a user asks for, checked; commands.py: the gcloud
commands; gcloud.py runs them; state.py: what another terminal finds; lifecycle.py: from creating to deleting; cost.py;
sweep.py; vm.sh: the VM's part.
"""
