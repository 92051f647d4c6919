package text

import "livekiosk/kiosk"

func hintEnglish(h kiosk.Hint) string {
	switch h {
	case kiosk.NoHint:
		return ""
	case kiosk.CameraBlocked:
		return "The camera is covered. Please clear the lens"
	case kiosk.NoFace:
		return "Place your face inside the oval"
	case kiosk.MultipleFaces:
		return "One person at a time, please"
	case kiosk.FaceTooFar:
		return "Come a little closer"
	case kiosk.FaceTooClose:
		return "Step back a little"
	case kiosk.MoveLeft:
		return "Move to your left"
	case kiosk.MoveRight:
		return "Move to your right"
	case kiosk.MoveUp:
		return "Move your face up"
	case kiosk.MoveDown:
		return "Move your face down"
	case kiosk.TooDark:
		return "Too dark here. Find more light"
	case kiosk.TooBright:
		return "Too bright. Avoid direct light"
	case kiosk.Backlit:
		return "The light behind you is too strong"
	case kiosk.UnevenLight:
		return "Turn your face towards the light"
	case kiosk.GlareGlasses:
		return "Your glasses reflect light. Please take them off"
	case kiosk.GlareSkin:
		return "Light reflects on your face. Move a little"
	case kiosk.LensSmudge:
		return "The lens is dirty. Please ask our staff"
	case kiosk.Sunglasses:
		return "Please take off your sunglasses"
	case kiosk.Mask:
		return "Please take off your mask for a moment"
	case kiosk.EyesCovered:
		return "Keep both eyes visible"
	case kiosk.MouthCovered:
		return "Keep your mouth visible"
	case kiosk.FaceCovered:
		return "Keep your face uncovered"
	case kiosk.TurnLeft:
		return "Turn your head slightly left"
	case kiosk.TurnRight:
		return "Turn your head slightly right"
	case kiosk.ChinUp:
		return "Lift your chin a little"
	case kiosk.ChinDown:
		return "Lower your chin a little"
	case kiosk.StraightenHead:
		return "Hold your head straight"
	case kiosk.EyesClosed:
		return "Open your eyes"
	case kiosk.NotNeutral:
		return "Relax your face, mouth closed"
	case kiosk.Blurred:
		return "The picture is blurred. Please stay still"
	case kiosk.HoldStill:
		return "Hold still"
	case kiosk.GoodHold:
		return "Very good, stay like this"
	case kiosk.MoveCloser:
		return "Slowly move closer"
	case kiosk.FlashWarning:
		return "The screen will change colour"
	case kiosk.Processing:
		return "One moment, please"
	case kiosk.SavedOffline:
		return "Your data is saved"
	case kiosk.TryAgain:
		return "Let us try again"
	case kiosk.CallStaff:
		return "Our staff will help you"
	}
	return ""
}

func titleEnglish(s kiosk.Screen) string {
	switch s {
	case kiosk.RestingScreen, kiosk.CommissionScreen:
		return ""
	case kiosk.IdleScreen:
		return "Welcome"
	case kiosk.ConsentScreen:
		return "Your consent"
	case kiosk.WarningScreen:
		return "The screen will change colour"
	case kiosk.ColoursScreen:
		return "Hold still"
	case kiosk.GuidingScreen:
		return "Your portrait"
	case kiosk.AgainScreen:
		return "Let us try again"
	case kiosk.SavingScreen:
		return "Saving your photos"
	case kiosk.WaitingScreen:
		return "Checking your photos"
	case kiosk.GrantedScreen:
		return "You are verified"
	case kiosk.RefusedScreen:
		return "Our staff will take it from here"
	case kiosk.SavedScreen:
		return "Your data is saved"
	case kiosk.StaffScreen:
		return "Our staff will help you"
	case kiosk.CancelledScreen:
		return "The session has ended"
	case kiosk.OutOfServiceScreen:
		return "Not in service right now"
	case kiosk.CodeScreen:
		return "Enter your code"
	case kiosk.TipsScreen:
		return "Before the camera starts"
	case kiosk.PINScreen:
		return "Staff PIN"
	case kiosk.DeskScreen:
		return "Kiosk status"
	}
	return ""
}

func bodyEnglish(s kiosk.Screen) string {
	switch s {
	case kiosk.RestingScreen, kiosk.CommissionScreen:
		return ""
	case kiosk.IdleScreen:
		return "Our staff will start the face verification for you. If you have an appointment code, enter it here."
	case kiosk.ConsentScreen:
		return "Please read this before the camera is switched on."
	case kiosk.WarningScreen:
		return "After the photos, the screen lights your face in changing colours for about five seconds. If changing light troubles you, or you would rather not, go on without it. That is no disadvantage to you."
	case kiosk.ColoursScreen:
		return "Look at the camera. This takes about five seconds."
	case kiosk.GuidingScreen:
		return "Look at the camera and follow the instructions."
	case kiosk.AgainScreen:
		return "Stand where there is good light, take off a mask or sunglasses, and look straight at the camera."
	case kiosk.SavingScreen:
		return "Please stay here for a moment."
	case kiosk.WaitingScreen:
		return "Your photos are stored safely. The check usually takes a few seconds."
	case kiosk.GrantedScreen:
		return "Thank you. Please continue with our staff."
	case kiosk.RefusedScreen:
		return "The verification could not be completed on this device. Please see our staff, who will look at it together with you."
	case kiosk.SavedScreen:
		return "Your photos will be sent automatically as soon as the connection allows. You do not need to repeat anything."
	case kiosk.StaffScreen:
		return "Please wait here, or come to the service desk."
	case kiosk.CancelledScreen:
		return "Recording has stopped. Our staff can help you in another way."
	case kiosk.OutOfServiceScreen:
		return "Please come to the service desk."
	case kiosk.CodeScreen:
		return "The eight digits on your invitation or appointment slip."
	case kiosk.TipsScreen:
		return "So that the first photo works:"
	case kiosk.PINScreen:
		return "For staff only."
	case kiosk.DeskScreen:
		return "For staff only. There is no customer data on this screen."
	}
	return ""
}

func controlEnglish(c kiosk.Control) string {
	switch c {
	case kiosk.Agree:
		return "I agree"
	case kiosk.Decline:
		return "I do not agree"
	case kiosk.Cancel:
		return "Cancel"
	case kiosk.Help:
		return "Ask for help"
	case kiosk.Done:
		return "Done"
	case kiosk.Resume:
		return "Yes, I am here"
	case kiosk.Switch:
		return "Bahasa Indonesia"
	case kiosk.Ready:
		return "I am ready"
	case kiosk.Begin:
		return "Enter a code"
	case kiosk.Enter:
		return "Continue"
	case kiosk.Large:
		return "Large text"
	case kiosk.Contrast:
		return "High contrast"
	case kiosk.NoLimit:
		return "No time limit"
	case kiosk.NoFlash:
		return "No flashing"
	case kiosk.Flash:
		return "Go on with colours"
	case kiosk.Door:
		return "Staff"
	case kiosk.Drain:
		return "Stop new sessions"
	case kiosk.Listing:
		return "Show the queue"
	}
	return ""
}

func faultEnglish(f kiosk.Fault) string {
	switch f {
	case kiosk.NoFault:
		return "This device is closed at the moment."
	case kiosk.CameraFault:
		return "The camera cannot be used at the moment."
	case kiosk.ModelFault:
		return "This device is being serviced."
	case kiosk.StorageFault:
		return "This device cannot store data safely at the moment."
	case kiosk.ClockFault:
		return "This device is setting its clock."
	case kiosk.TamperFault:
		return "This device is being checked by our staff."
	case kiosk.PowerFault:
		return "The battery of this device is low."
	case kiosk.UpdateFault:
		return "This device is being updated and will be back soon."
	case kiosk.LockFault:
		return "This device waits for our staff to unlock it."
	}
	return ""
}

func phraseEnglish(k Key) string {
	switch k {
	case FarStep:
		return "Step 1 of 2"
	case NearStep:
		return "Step 2 of 2"
	case Starting:
		return "Starting the camera"
	case ScrollOn:
		return "There is more below"
	case Receipt:
		return "Receipt code"
	case ClosesSoon:
		return "This screen closes by itself."
	case StillThere:
		return "Are you still there?"
	case MoveOn:
		return "We start again in a moment."
	case ReceiptNote:
		return "Keep this code or take a photo of it. Our staff can look it up for you."
	case TryNow:
		return "Try again now"
	case YourPhoto:
		return "Your photo"
	case GoodPhoto:
		return "How it should look"
	case TipCovers:
		return "Take off a mask, a hat or sunglasses. A headscarf can stay on."
	case TipLight:
		return "Let the light fall on your face from the front."
	case TipLook:
		return "Look straight at the camera with a relaxed face."
	case TipAlone:
		return "Only you should be in view. You may stay seated."
	case WithoutColours:
		return "Go on without colours"
	case StopColours:
		return "Stop the colours"
	case SilenceIsNo:
		return "Without an answer, it goes on without colours."
	case StartsSoon:
		return "The camera starts by itself in a moment."
	case NowStored:
		return "Your photos are stored safely"
	case NowChecked:
		return "The verification service is checking them"
	case NowResult:
		return "The result will appear on this screen"
	case HowLong:
		return "This usually takes a few seconds. If it takes longer, you need not wait here."
	case Looking:
		return "Checking"
	case CodeUnknown:
		return "We cannot find this code. Please check it, or ask our staff."
	case PINWrong:
		return "This is not the PIN."
	case TypePaused:
		return "Too many tries. Please try again in a few minutes."
	case CodeRefused:
		return "The session cannot start now. Please see our staff."
	case Erase:
		return "Delete"
	case Undrain:
		return "Take sessions again"
	case ShowState:
		return "Show the state"
	case RowService:
		return "Service"
	case RowNetwork:
		return "Network"
	case RowQueue:
		return "Not sent yet"
	case RowAside:
		return "To be looked at"
	case RowCamera:
		return "Camera"
	case RowVersion:
		return "Version"
	case InService:
		return "Ready to serve"
	case Draining:
		return "Taking no new sessions"
	case Working:
		return "Working"
	case NotAsked:
		return "Not asked yet"
	case NoneThere:
		return "Nothing is stored."
	}
	return ""
}

func consentEnglish() []Section {
	return []Section{
		{
			"What it is for",
			"We verify that it is really you who is here. The camera takes two photos of your face, one from a normal " +
				"distance and one from close up. They are checked automatically.",
		},
		{
			"Data we process",
			"Two photos of your face and measurements of their quality. Photos of a face are biometric data, which Indonesian " +
				"Law No. 27 of 2022 on Personal Data Protection treats as specific personal data.",
		},
		{
			"Data controller",
			"The financial institution that serves you here. Its name and the contact of its data protection officer are available at the service desk.",
		},
		{
			"Who receives the data",
			"The identity verification service that works on behalf of this institution. Your data is not used for any other purpose.",
		},
		{
			"How long it is kept",
			"On this device the photos are stored encrypted only until they are sent, and then deleted. After that the institution " +
				"keeps them as long as the law requires, and then destroys them.",
		},
		{
			"Your rights",
			"You can withdraw this consent at any time through our staff, and ask for a copy, a correction or the deletion of your data. " +
				"You may also object to a decision made by a machine alone: a person will then look at it.",
		},
		{
			"Without a camera",
			"Giving consent is voluntary. If you do not agree, our staff will verify your identity in person.",
		},
	}
}
