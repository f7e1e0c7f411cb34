# What the image begins with: by default the newest Deep Learning Base AMI, whose id AWS keeps in a public parameter. It has
# the NVIDIA driver, CUDA and the instance store at /opt/dlami/nvme.

variable "source_ami" {
  type        = string
  default     = null
  description = "An AMI's id, instead of the one that source_parameter holds."
}

variable "source_parameter" {
  type        = string
  default     = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
  description = "SSM parameter with the id of an x86_64 Debian or Ubuntu image that has the NVIDIA driver."
}

data "amazon-parameterstore" "base" {
  name   = var.source_parameter
  region = var.region
}

locals {
  source_ami = var.source_ami == null ? data.amazon-parameterstore.base.value : var.source_ami
}
