# An AMI of the worker: driver from the source image, program, model, unit. Settings come later, with the instance.

packer {
  required_plugins {
    amazon = {
      version = ">= 1.3.0"
      source  = "github.com/hashicorp/amazon"
    }
  }
}

variable "region" {
  type        = string
  description = "Where the AMI is built and kept."
}

variable "instance_type" {
  type        = string
  default     = "g5.xlarge"
  description = "What the AMI is built on; one with a GPU, so that the build tries the engine on it."
}

variable "source_ami_name" {
  type        = string
  default     = "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) *"
  description = "Name pattern of an x86_64 Debian or Ubuntu image that has the NVIDIA driver."
}

variable "source_ami_owner" {
  type        = string
  default     = "amazon"
  description = "Owner of the source image: an account id, or an alias such as amazon."
}

variable "ssh_username" {
  type    = string
  default = "ubuntu"
}

variable "binary" {
  type        = string
  default     = "target/release/transcription-worker"
  description = "The program, built with --features cuda on a system no newer than the image (glibc, CUDA runtime)."
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

  ami_name        = "transcription-worker-${local.stamp}"
  ami_description = "transcription-worker with ${var.model}"

  source_ami_filter {
    filters = {
      name                = var.source_ami_name
      architecture        = "x86_64"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    owners      = [var.source_ami_owner]
    most_recent = true
  }

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
    SourceAmi = "{{ .SourceAMI }}"
  }
}

build {
  sources = ["source.amazon-ebs.worker"]

  provisioner "file" {
    source      = var.binary
    destination = "/tmp/transcription-worker"
  }

  provisioner "file" {
    source      = "systemd/transcription-worker.service"
    destination = "/tmp/transcription-worker.service"
  }

  provisioner "file" {
    source      = "systemd/worker.env.example"
    destination = "/tmp/worker.env.example"
  }

  provisioner "shell" {
    script           = "packer/install.sh"
    environment_vars = ["MODEL=${var.model}", "DEVICE=${var.device}"]
    execute_command  = "sudo env {{ .Vars }} sh {{ .Path }}"
  }
}
