# The instances. Without `fleet` there is a hub, a role and an instance profile, and the worker runs wherever you put it.

variable "fleet" {
  type = object({
    ami_id     = string
    vpc_id     = optional(string)
    subnet_ids = list(string)
    # instead of the group made here, which lets nothing in and HTTPS out
    security_group_ids = optional(list(string), [])
    # from the fastest for its price to the slowest; price and capacity decide among them
    instance_types = optional(list(string), [
      "g6.xlarge", "g6.2xlarge", "g6e.xlarge", "g6e.2xlarge", "g5.xlarge", "g5.2xlarge", "g4dn.xlarge", "g4dn.2xlarge",
    ])
    min_size           = optional(number, 0)
    max_size           = optional(number, 4)
    on_demand_base     = optional(number, 0)
    on_demand_percent  = optional(number, 0)
    capacity_rebalance = optional(bool, false)
    root_device_name   = optional(string, "/dev/sda1")
    root_volume_gib    = optional(number, 75)
    # jobs waiting or at work for each instance before another is started
    jobs_per_instance = optional(number, 8)
    # when-empty: instances go when no job waits or is at work; gradual: also before, and what they do is given back
    scale_in     = optional(string, "when-empty")
    idle_minutes = optional(number, 15)
    # from the start of an instance to its first job: boot, model, GPU
    warmup_seconds = optional(number, 240)
    # may log in through Session Manager
    session_manager = optional(bool, false)
  })
  default     = null
  description = "Spot instances that run the worker's image; null for none."

  validation {
    condition     = var.fleet == null || try(contains(["when-empty", "gradual"], var.fleet.scale_in), false)
    error_message = "scale_in is when-empty or gradual."
  }
  validation {
    condition     = var.fleet == null || try(var.fleet.vpc_id != null || length(var.fleet.security_group_ids) > 0, false)
    error_message = "Name security_group_ids, or the vpc_id to make one in."
  }
  validation {
    condition     = var.fleet == null || try(var.fleet.max_size >= max(var.fleet.min_size, 1), false)
    error_message = "max_size is 1 at least, and not below min_size."
  }
}

variable "drain_secs" {
  type        = number
  default     = 90
  description = "Jobs in flight may run on for so long when an instance is taken in. The unit's TimeoutStopSec must be longer."
}

variable "instances_may" {
  type = object({
    complete_lifecycle_hook = optional(bool, false)
    protect_from_scale_in   = optional(bool, false)
    terminate_themselves    = optional(bool, false)
  })
  default     = {}
  description = "What instances may do to their own group, and do: end the wait of the lifecycle hook when they have drained, protect themselves from scale-in while they work, end themselves after fleet.idle_minutes without work."
}
