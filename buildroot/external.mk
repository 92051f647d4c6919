include $(sort $(wildcard $(BR2_EXTERNAL_LIVEKIOSK_PATH)/package/*/*.mk))
