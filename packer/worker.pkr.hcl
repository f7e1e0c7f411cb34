# An AMI of the worker: driver from the source image, package, model, CloudWatch agent. Settings come later, with the instance.
# From the root of the repository: packer init packer && packer build -var region=… packer

variable "region" {
  type        = string
  description = "Where the AMI is built and kept."
}

variable "instance_type" {
  type        = string
  default     = "g5.xlarge"
  description = "What the AMI is built on; one with a GPU, so that the build computes on it."
}

variable "ssh_username" {
  type    = string
  default = "ubuntu"
}

variable "package" {
  type        = string
  description = "The .deb: FEATURES=cuda make deb puts it into target/packages. Built on a system no newer than the image (glibc, CUDA runtime)."
}

variable "model" {
  type        = string
  default     = "large-v3-turbo"
  description = "A name of `model list`; it is fetched and verified on the instance."
}

variable "device" {
  type        = string
  default     = "cuda"
  description = "What the build tries the engine on: cuda, or cpu for an image without GPU."
}

variable "volume_gib" {
  type        = number
  default     = 75
  description = "Root volume; not smaller than the source image's."
}

variable "subnet_id" {
  type        = string
  default     = null
  description = "Where the build runs; the account's default subnet without it."
}

locals {
  stamp = formatdate("YYYYMMDD-hhmmss", timestamp())
}

source "amazon-ebs" "worker" {
  region        = var.region
  instance_type = var.instance_type
  subnet_id     = var.subnet_id
  ssh_username  = var.ssh_username
  source_ami    = local.source_ami

  ami_name        = "transcription-worker-${local.stamp}"
  ami_description = "transcription-worker with ${var.model}"

  # IMDSv2 only, while it is built and in what is launched from it: the worker speaks nothing older
  imds_support = "v2.0"
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  launch_block_device_mappings {
    device_name = "/dev/sda1"
    volume_size = var.volume_gib
    volume_type = "gp3"
    # what a gp3 volume has anyway; older plugins ask for it by name
    throughput            = 125
    iops                  = 3000
    delete_on_termination = true
  }

  tags = {
    Name      = "transcription-worker"
    Model     = var.model
    Package   = basename(var.package)
    SourceAmi = "{{ .SourceAMI }}"
  }
}

build {
  sources = ["source.amazon-ebs.worker"]

  provisioner "file" {
    source      = var.package
    destination = "/tmp/transcription-worker.deb"
  }

  # the one that the hub's instances get too, with their group
  provisioner "file" {
    source      = "terraform/cloudwatch-agent.json"
    destination = "/tmp/cloudwatch-agent.json"
  }

  provisioner "shell" {
    script           = "packer/install.sh"
    environment_vars = ["MODEL=${var.model}", "DEVICE=${var.device}"]
    execute_command  = "sudo env {{ .Vars }} sh {{ .Path }}"
  }

  # the id, for terraform's fleet.ami_id
  post-processor "manifest" {
    output = "target/packer-manifest.json"
  }
}
