variable "region" {
  type        = string
  default     = "us-east-1"
  description = "Where everything is."
}

variable "name" {
  type        = string
  default     = "transcription"
  description = "Put before every name."
}

variable "ami_id" {
  type        = string
  default     = null
  description = "The worker's image (packer/). Without it there is no fleet: run the worker with `worker_env_file` wherever you like."
}

variable "vpc_id" {
  type        = string
  default     = null
  description = "The network of the fleet."
}

variable "subnet_ids" {
  type        = list(string)
  default     = []
  description = "Subnets of the fleet: several zones find more spot capacity."
}

variable "alarm_emails" {
  type        = list(string)
  default     = []
  description = "Who gets the alarms."
}

variable "model" {
  type        = string
  default     = "large-v3-turbo"
  description = "The model in the image."
}

variable "schema_registry" {
  type        = bool
  default     = true
  description = "Publish the events' schemas."
}

variable "force_destroy" {
  type        = bool
  default     = false
  description = "Let `terraform destroy` delete buckets that hold objects."
}

variable "s3_announces" {
  type        = bool
  default     = false
  description = "S3's own events become jobs, instead of `Audio Uploaded`: for producers that only upload."
}
